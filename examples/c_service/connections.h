/* The open connections, and how long each client may still take. libmicrohttpd closes only connections that are silent:
 * a client that sends a byte a second would keep its connection and its memory for ever. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stddef.h>

typedef struct client client;

/* Starts the thread that closes the connections of clients that are late. `timeout` is in seconds. Returns 0 where the
 * thread does not start. */
int watch_connections(double timeout);

/* Counts one more connection, before its client is added. Returns 0 and counts nothing where `limit` are open. */
int reserve_client(size_t limit);

/* Takes a connection off the count that never became a client; remove_client does so for one that did. */
void release_reservation(void);

/* The client of a connection that was just opened; NULL where memory is short. */
client* add_client(int socket);
void remove_client(client* gone);

/* From now on the client sends a request or takes an answer, and has the timeout for it. */
void await_client(client* of);

/* From now on the service is at work, and the client has no time limit. */
void release_client(client* of);

/* From now on no request is under way. The client has the timeout to begin the next one, or a second where the service
 * is ending. */
void client_is_idle(client* of);

/* From now on connections without a request are closed after a second. */
void drain_connections(void);

/* Connections counted from now on are late: the service answers them while it waits for the others. */
void count_late_connections(void);

/* Whether late connections are counted and all others are closed. */
int only_late_connections(void);

size_t open_connections(void);

#endif
