/* json_of ENGINE IMAGE: prints what the service in examples/c_service would answer, without HTTP. */
#include <stdio.h>
#include <stdlib.h>

#include "image_header.h"
#include "results_json.h"

static int die(const char* sentence)
{
    fprintf(stderr, "%s\n", sentence);
    return 1;
}

int main(int argc, char** argv)
{
    unsigned char* data = malloc(1 << 24);
    FILE* file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!data || !file)
        return die("usage: json_of ENGINE IMAGE");
    size_t size = fread(data, 1, 1 << 24, file);
    fclose(file);
    data = realloc(data, size ? size : 1); /* of the file's very size, so that a read beyond it is noticed */
    uint32_t width, height;
    image_kind kind = read_image_header(data, size, &width, &height);
    fprintf(stderr, "%d %lux%lu\n", (int)kind, (unsigned long)width, (unsigned long)height);

    yolact_options options = YOLACT_OPTIONS_DEFAULT;
    options.score_threshold = 0;
    yolact_handle handle;
    yolact_image image;
    yolact_results* results;
    if (yolact_open(argv[1], &options, &handle) != YOLACT_OK || yolact_image_decode(data, size, &image) != YOLACT_OK ||
        yolact_infer(handle, &image, 1, &results) != YOLACT_OK)
        return die(yolact_last_error());
    text json = {0};
    write_results(&json, handle, argv[2], &results->images[0], image.width, image.height);
    fwrite(json.data, 1, json.size, stdout);
    text_free(&json);
    yolact_results_free(results);
    yolact_image_free(&image);
    yolact_close(handle);
    free(data);
    return 0;
}
