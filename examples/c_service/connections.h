/* Open connections and how long each client may still take. libmicrohttpd only ends silent ones: a client that sends a
 * byte a second would hold its connection and its memory for ever. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stddef.h>

typedef struct client client;

/* Starts the thread that closes what is late; `timeout` in seconds. 0 where that fails. */
int watch_connections(double timeout);

/* Counts one more connection unless `limit` are open; 0 then. remove_client gives the place back, or this: */
int reserve_client(size_t limit);
void release_reservation(void);

/* A connection that was opened, between requests; NULL where memory is short. */
client* add_client(int socket);
void remove_client(client* gone);

/* The client is at work: it sends a request or takes an answer, and has `timeout` for it. */
void await_client(client* of);

/* The client has to do nothing: the service is at work. */
void release_client(client* of);

/* Nothing is under way: the client has `timeout` to send the next request, or a second where the service is ending. */
void client_is_idle(client* of);

/* From now on idle connections are closed after a second. */
void drain_connections(void);

size_t open_connections(void);

#endif
