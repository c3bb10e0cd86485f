#include "routes.h"

#include <stddef.h>
#include <string.h>

#include "tensors.h"

#define MODEL "/v2/models/" MODEL_NAME
#define VERSION MODEL "/versions/" MODEL_VERSION

static const struct {
    const char* path;
    route to;
} routes[] = {
    {"/v1/infer", INFER},
    {"/healthz", HEALTH},
    {"/metrics", METRICS},
    {"/v2", V2_SERVER},
    {"/v2/health/live", V2_LIVE},
    {"/v2/health/ready", V2_READY},
    {MODEL, V2_MODEL},
    {MODEL "/ready", V2_MODEL_READY},
    {MODEL "/infer", V2_INFER},
    {VERSION, V2_MODEL},
    {VERSION "/ready", V2_MODEL_READY},
    {VERSION "/infer", V2_INFER},
};

route find_route(const char* path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].path, path) == 0)
            return routes[i].to;
    return NOWHERE;
}

int takes_post(route to) { return to == INFER || to == V2_INFER; }

const char* known_paths(const char* path)
{
    if (strncmp(path, "/v2/models/", 11) == 0)
        return "the model " MODEL_NAME ", version " MODEL_VERSION ": GET " MODEL ", GET " MODEL "/ready or POST " MODEL
               "/infer";
    if (strncmp(path, "/v2", 3) == 0)
        return "GET /v2, GET /v2/health/live, GET /v2/health/ready or GET " MODEL;
    return "POST /v1/infer, GET /healthz, GET /metrics or GET /v2";
}
