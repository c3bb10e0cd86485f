/* HTTP in front of the pipeline. */
#ifndef SERVER_H
#define SERVER_H

#include "options.h"

/* Listens; prints the address on stdout, or what is wrong on stderr and returns 0. */
int start_server(const options* settings, yolact_handle handle);

/* Takes no more connections, answers what is under way and stops. Returns how many connections had to be cut off. */
size_t stop_server(void);

#endif
