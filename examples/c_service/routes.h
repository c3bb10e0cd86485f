/* The routes that the paths of requests lead to. */
#ifndef ROUTES_H
#define ROUTES_H

typedef enum route {
    NOWHERE,
    INFER, /* this service's own form of request */
    HEALTH,
    METRICS,
    V2_SERVER, /* from here on KServe's V2 protocol */
    V2_LIVE,
    V2_READY,
    V2_MODEL,
    V2_MODEL_READY,
    V2_INFER
} route;

route find_route(const char* path);

/* Whether the route takes POST; the others take GET and HEAD. */
int takes_post(route to);

/* The known paths, for an error about a path that leads nowhere. */
const char* known_paths(const char* path);

#endif
