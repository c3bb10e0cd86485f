/* HTTP in front of the pipeline. */
#ifndef SERVER_H
#define SERVER_H

#include "options.h"
#include "tensors.h"

/* Starts to listen and prints the address on stdout. Returns 0, having said why on stderr, where that fails. */
int start_server(const options* settings, const model* of);

/* Answers the requests under way and those that come meanwhile, then takes no more connections and stops. Returns the
 * number of connections that had to be cut off. */
size_t stop_server(void);

#endif
