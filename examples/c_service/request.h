/* A request and its headers. */
#ifndef REQUEST_H
#define REQUEST_H

#include <microhttpd.h>

#include "connections.h"
#include "pipeline.h"
#include "routes.h"
#include "text.h"

typedef struct request {
    struct MHD_Connection* connection;
    client* from;
    double started;
    char id[65];       /* X-Request-Id of the client, or a number */
    text method, path; /* printable ASCII, cut off where they are long */
    route to;
    int must_close; /* it is in doubt where the request ends, so nothing after it is read */
    int verdict;    /* on the headers: 200, or the HTTP status of a refusal that `work.problem` explains */
    int status;     /* 0 until an answer is on its way */
    size_t answer_size;
    size_t answer_json_size; /* V2: how many of these bytes are JSON, if others follow, else 0 */
    unsigned char* body;
    size_t expected, received; /* bytes of the body */
    size_t json_size;          /* V2: how many of these are JSON */
    job work;
} request;

/* A new request, or NULL where memory is short. */
request* start_request(struct MHD_Connection* connection, const char* path, const char* method);

/* Refuses a request whose end a proxy and libmicrohttpd may see in different places. Returns the HTTP status. */
int check_framing(request* of);

/* Whether the body is so much longer than `most` bytes, or of such unknown length, that its end is not awaited. */
int is_endless(const request* of, size_t most);

/* Reads the headers of a request for detections, in this service's own form or in that of V2, and makes room for its
 * body. Returns the HTTP status; where that is not 200, `work.problem` says why. */
int read_headers(request* of, const options* settings);

/* Writes the line of the access log and frees the request. */
void end_request(request* of);

#endif
