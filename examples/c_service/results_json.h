/* Detections as the JSON that yolact-infer writes. */
#ifndef RESULTS_JSON_H
#define RESULTS_JSON_H

#include <yolact.h>

#include "text.h"

/* {"source", "width", "height", "detections": [{"class_id", "class_name", "score", "box", "mask"}]}: the score is the
 * one that ranks instances, masks are COCO RLE. */
void write_results(
    text* to, yolact_handle handle, const char* source, const yolact_detections* found, int32_t width, int32_t height);

#endif
