#include "tensors.h"

const tensor_kind tensor_kinds[TENSORS] = {
    [NUM_DETECTIONS] = {"num_detections", "INT32", 0, 1},
    [IMAGE_SIZES] = {"image_sizes", "INT32", 0, 2}, /* height, width */
    [BOXES] = {"boxes", "FP32", 1, 4},              /* x1, y1, x2, y2 in pixels of the image */
    [SCORES] = {"scores", "FP32", 1, 0},
    [CLASSES] = {"classes", "INT32", 1, 0},
    [MASKS] = {"masks", "BYTES", 1, 0}, /* the counts of COCO RLE */
    [MASK_SCORES] = {"mask_scores", "FP32", 1, 0},
};

void write_model_metadata(text* to, const model* of)
{
    text_format(
        to,
        "{\"name\": \"" MODEL_NAME "\", \"versions\": [\"" MODEL_VERSION
        "\"], \"platform\": \"yolact\", "
        "\"inputs\": [{\"name\": \"" INPUT_NAME "\", \"datatype\": \"BYTES\", \"shape\": [-1, 1]}], \"outputs\": [");
    for (size_t i = 0; i < of->outputs; i++) {
        const tensor_kind* kind = &tensor_kinds[i];
        text_format(
            to, "%s{\"name\": \"%s\", \"datatype\": \"%s\", \"shape\": [-1", i ? ", " : "", kind->name, kind->datatype);
        if (kind->has_rows)
            text_format(to, ", -1");
        if (kind->columns)
            text_format(to, ", %zu", kind->columns);
        text_format(to, "]}");
    }
    text_format(to, "], \"parameters\": {\"class_names\": [");
    for (int32_t i = 0; i < yolact_class_count(of->detector); i++) {
        const char* name = yolact_class_name(of->detector, i);
        text_format(to, i ? ", " : "");
        text_quote(to, name ? name : "");
    }
    text_format(to, "], \"most_images\": %zu}}\n", of->most_images);
}

void write_server_metadata(text* to)
{
    text_format(
        to, "{\"name\": \"yolact-service\", \"version\": \"%d.%d.%d\", \"extensions\": [\"binary_tensor_data\"]}\n",
        YOLACT_VERSION_MAJOR, YOLACT_VERSION_MINOR, YOLACT_VERSION_PATCH);
}
