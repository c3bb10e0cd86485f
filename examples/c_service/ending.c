#include "ending.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BY_SIGNAL = 128
}; /* the exit code of a program that a signal ended is this plus the number, as shells have it */

static sigset_t signals;
static sem_t has_come;
static atomic_int first, is_serving;

static void end_at_once(int number) { _exit(BY_SIGNAL + number); }

static void* wait_for_signals(void* unused)
{
    (void)unused;
    int number;
    sigwait(&signals, &number);
    if (!is_serving) {
        fprintf(stderr, "%s: ended before it served\n", strsignal(number));
        end_at_once(number);
    }
    first = number;
    sem_post(&has_come);
    do
        sigwait(&signals, &number);
    while (number == SIGHUP);
    end_at_once(number);
    return NULL;
}

/* Whether the program is to outlive its terminal: nohup has it ignore SIGHUP. Shells have programs in the background
 * ignore SIGINT and SIGQUIT too, but these are sent to a service on purpose. */
static int outlives_terminal(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int watch_signals(void)
{
    pthread_t thread;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGQUIT);
    if (!outlives_terminal())
        sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    sem_init(&has_come, 0, 0);
    return pthread_create(&thread, NULL, wait_for_signals, NULL) == 0 && pthread_detach(thread) == 0;
}

void begin_serving(void) { is_serving = 1; }

int await_signal(void)
{
    while (sem_wait(&has_come) != 0)
        continue;
    return first;
}
