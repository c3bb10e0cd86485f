/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>
#include <yolact.h>

typedef struct options {
    const char* engine;
    const char* host;
    const char* port;
    yolact_options detector;
    size_t max_batch;   /* images */
    double batch_wait;  /* seconds an image waits for others to fill the batch */
    size_t queue_size;  /* requests that wait for the engine; one more gets 503 */
    size_t connections; /* that may be open at once; others wait until one closes */
    size_t max_body;    /* bytes */
    size_t max_pixels;  /* of one image */
    double timeout;     /* seconds a client has to send a request or take its answer, and a request may wait */
    double drain_limit; /* seconds for requests under way after SIGTERM */
} options;

/* Fills `to` and returns 0. Where the program must end, returns -1, after --help, or 2, having reported a mistake. */
int read_options(int argc, char** argv, options* to);

#endif
