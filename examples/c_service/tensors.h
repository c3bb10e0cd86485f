/* The tensors of the model as KServe's V2 protocol names them: images in, detections out. */
#ifndef TENSORS_H
#define TENSORS_H

#include <stddef.h>
#include <yolact.h>

#include "text.h"

#define MODEL_NAME "yolact"
#define MODEL_VERSION "1"
#define INPUT_NAME "image" /* BYTES [n, 1] */

typedef enum tensor { NUM_DETECTIONS, IMAGE_SIZES, BOXES, SCORES, CLASSES, MASKS, MASK_SCORES, TENSORS } tensor;

/* Its shape is [images], then [detections] where it has a row for each, then [columns] where that is not 0. */
typedef struct tensor_kind {
    const char *name, *datatype;
    int has_rows;
    size_t columns;
} tensor_kind;

extern const tensor_kind tensor_kinds[TENSORS];

typedef struct model {
    yolact_handle detector;
    size_t outputs;     /* how many tensors come out: the last, mask_scores, of YOLACT++ only */
    size_t most_images; /* of one request */
} model;

/* Writes the metadata of the model and that of the server. */
void write_model_metadata(text* to, const model* of);
void write_server_metadata(text* to);

#endif
