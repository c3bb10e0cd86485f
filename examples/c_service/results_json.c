#include "results_json.h"

#include "mask_rle.h"

void write_results(
    text* to, yolact_handle handle, const char* source, const yolact_detections* found, int32_t width, int32_t height)
{
    const float* scores = found->mask_scores ? found->mask_scores : found->scores;
    text_format(to, "{\"source\": ");
    text_quote(to, source);
    text_format(to, ", \"width\": %ld, \"height\": %ld, \"detections\": [", (long)width, (long)height);
    for (size_t i = 0; i < found->count; i++) {
        const float* box = &found->boxes[4 * i];
        const char* name = yolact_class_name(handle, found->class_ids[i]);
        text_format(to, "%s{\"class_id\": %ld, \"class_name\": ", i ? ", " : "", (long)found->class_ids[i]);
        text_quote(to, name ? name : "");
        text_format(to, ", \"score\": ");
        text_decimal(to, (double)scores[i], 5);
        for (int side = 0; side < 4; side++) {
            text_format(to, "%s", side ? ", " : ", \"box\": [");
            text_decimal(to, (double)box[side], 2);
        }
        text_format(to, "], \"mask\": {\"size\": [%ld, %ld], \"counts\": ", (long)height, (long)width);
        text counts = {0};
        write_mask_counts(&counts, &found->masks[i], width, height);
        to->failed |= counts.failed;
        text_quote(to, counts.failed ? "" : counts.data); /* quoted, as COCO's form may contain a backslash */
        text_free(&counts);
        text_format(to, "}}");
    }
    text_format(to, "]}\n");
}
