#include "connections.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "pipeline.h"

static const double idle_while_draining = 1; /* seconds: enough for a request that is on its way */

struct client {
    int socket;
    unsigned long long number; /* clients are added in the order in which they were counted */
    int is_idle;
    double deadline;
    client* previous;
    client* next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static client* clients;
static size_t count;
static unsigned long long counted, added, last_in_time; /* numbers of clients; of the last that is not late */
static double timeout;
static int is_draining, counts_late;

static void* watch(void* unused)
{
    (void)unused;
    const struct timespec pause = {0, 50 * 1000 * 1000};
    for (;;) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        double time = now();
        for (client* one = clients; one; one = one->next) {
            if (one->deadline > time)
                continue;
            shutdown(one->socket, SHUT_RDWR); /* libmicrohttpd then sees its end and closes it */
            one->deadline = INFINITY;
        }
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int watch_connections(double seconds)
{
    pthread_t thread;
    timeout = seconds;
    return pthread_create(&thread, NULL, watch, NULL) == 0 && pthread_detach(thread) == 0;
}

/* The caller holds the lock. */
static double idle_deadline(void) { return now() + (is_draining ? idle_while_draining : timeout); }

int reserve_client(size_t limit)
{
    pthread_mutex_lock(&lock);
    int has_room = count < limit;
    count += (size_t)has_room;
    counted += (unsigned long long)has_room;
    pthread_mutex_unlock(&lock);
    return has_room;
}

void release_reservation(void)
{
    pthread_mutex_lock(&lock);
    count--;
    counted--;
    pthread_mutex_unlock(&lock);
}

client* add_client(int socket)
{
    client* new = malloc(sizeof *new);
    pthread_mutex_lock(&lock);
    added++;
    if (new) {
        *new = (client){socket, added, 1, idle_deadline(), NULL, clients};
        if (clients)
            clients->previous = new;
        clients = new;
    }
    pthread_mutex_unlock(&lock);
    return new;
}

/* Takes a client out of the list. The caller holds the lock. */
static void unlink_client(client* gone)
{
    if (gone->previous)
        gone->previous->next = gone->next;
    else
        clients = gone->next;
    if (gone->next)
        gone->next->previous = gone->previous;
}

void remove_client(client* gone)
{
    pthread_mutex_lock(&lock);
    if (gone)
        unlink_client(gone);
    count--;
    pthread_mutex_unlock(&lock);
    free(gone);
}

static void set_busy(client* of, double deadline)
{
    if (!of)
        return;
    pthread_mutex_lock(&lock);
    of->is_idle = 0;
    of->deadline = deadline;
    pthread_mutex_unlock(&lock);
}

void await_client(client* of) { set_busy(of, now() + timeout); }

void release_client(client* of) { set_busy(of, INFINITY); }

void client_is_idle(client* of)
{
    if (!of)
        return;
    pthread_mutex_lock(&lock);
    of->is_idle = 1;
    of->deadline = idle_deadline();
    pthread_mutex_unlock(&lock);
}

void drain_connections(void)
{
    pthread_mutex_lock(&lock);
    is_draining = 1;
    for (client* one = clients; one; one = one->next)
        if (one->is_idle)
            one->deadline = idle_deadline();
    pthread_mutex_unlock(&lock);
}

void count_late_connections(void)
{
    pthread_mutex_lock(&lock);
    counts_late = 1;
    last_in_time = counted;
    pthread_mutex_unlock(&lock);
}

int only_late_connections(void)
{
    pthread_mutex_lock(&lock);
    int only_late = counts_late && added >= last_in_time;
    for (client* one = clients; one; one = one->next)
        only_late &= one->number > last_in_time;
    pthread_mutex_unlock(&lock);
    return only_late;
}

size_t open_connections(void)
{
    pthread_mutex_lock(&lock);
    size_t open = count;
    pthread_mutex_unlock(&lock);
    return open;
}
