#include "inference_refusal.h"

#include <stdarg.h>
#include <stdio.h>

int refuse_inference(inference_request* to, const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!to->problem[0])
        vsnprintf(to->problem, sizeof to->problem, format, arguments);
    va_end(arguments);
    return 400;
}

int refuse_json(inference_request* to, const json_reader* at)
{
    char got[16] = "its end";
    if (at->at < at->end && *at->at > 0x20 && *at->at < 0x7f)
        snprintf(got, sizeof got, "%c", *at->at);
    else if (at->at < at->end)
        snprintf(got, sizeof got, "the byte 0x%02x", *at->at);
    to->problem[0] = '\0'; /* what was wrong further on may only follow from this */
    return refuse_inference(
        to, "expected %s at byte %zu of the request's JSON, got %s", at->expected, (size_t)(at->at - at->start), got);
}
