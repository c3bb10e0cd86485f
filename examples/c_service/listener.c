#define _GNU_SOURCE 1 /* accept4 */
#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connections.h"

static int listener;
static size_t limit;
static atomic_int is_ending, is_stopping, is_closed;

/* A socket that listens at the address, or -1 with errno set. */
static int listen_at(const struct addrinfo* address)
{
    const int yes = 1;
    int listening = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listening < 0)
        return -1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address->ai_family == AF_INET6)
        setsockopt(listening, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (bind(listening, address->ai_addr, address->ai_addrlen) == 0 && listen(listening, SOMAXCONN) == 0)
        return listening;
    int problem = errno;
    close(listening);
    errno = problem;
    return -1;
}

int open_listener(const options* settings)
{
    limit = settings->connections;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *addresses;
    int problem = getaddrinfo(settings->host, settings->port, &hints, &addresses);
    if (problem != 0) {
        fprintf(stderr, "Error: --host: expected an address, got %s (%s)\n", settings->host, gai_strerror(problem));
        return 0;
    }
    listener = listen_at(addresses);
    problem = errno;
    freeaddrinfo(addresses);
    if (listener < 0)
        fprintf(
            stderr, "Error: cannot listen on %s, port %s (%s); choose another --port\n", settings->host, settings->port,
            strerror(problem));
    return listener >= 0;
}

/* From now on connections are late. Returns how many may be open from now on. */
static size_t begin_late(void)
{
    count_late_connections();
    size_t most = open_connections() + MOST_LATE;
    return most < limit + MOST_AT_THE_END ? most : limit + MOST_AT_THE_END;
}

static void* accept_clients(void* daemon)
{
    struct pollfd listening = {listener, POLLIN, 0};
    size_t most_late = 0; /* 0 until late connections are accepted */
    for (;;) {
        int is_last_look = is_stopping, is_first_look = is_ending && most_late == 0;
        size_t most = is_last_look || is_first_look ? limit + MOST_AT_THE_END : most_late > 0 ? most_late : limit;
        if (!reserve_client(most)) {
            poll(NULL, 0, 10);
            continue;
        }
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int socket = accept4(listener, (struct sockaddr*)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int problem = errno;
        if (socket >= 0 && MHD_add_connection(daemon, socket, (struct sockaddr*)&address, length) == MHD_YES)
            continue;
        release_reservation();
        if (socket < 0 && problem == EAGAIN && is_last_look)
            break;
        if (socket < 0 && problem == EAGAIN && is_first_look)
            most_late = begin_late();
        if (socket < 0 && problem == EAGAIN)
            poll(&listening, 1, 50);
        else
            poll(NULL, 0, 50); /* files or memory ran out: try again, as connections close */
    }
    close(listener);
    is_closed = 1;
    return NULL;
}

static void print_address(void)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char port[8], host[64];
    getsockname(listener, (struct sockaddr*)&bound, &length);
    getnameinfo(
        (struct sockaddr*)&bound, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    int is_v6 = bound.ss_family == AF_INET6;
    printf("listening on http://%s%s%s:%s\n", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

int start_accepting(struct MHD_Daemon* daemon)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, accept_clients, daemon) != 0)
        return 0;
    pthread_detach(thread);
    print_address();
    return 1;
}

void accept_late(void) { is_ending = 1; }

void stop_accepting(void) { is_stopping = 1; }

int is_accepting(void) { return !is_closed; }
