/* json_of ENGINE IMAGE...: prints what the service in examples/c_service would answer to each image, without HTTP. */
#include <stdio.h>
#include <stdlib.h>

#include "image_header.h"
#include "results_json.h"

static int die(const char* sentence)
{
    fprintf(stderr, "%s\n", sentence);
    return 1;
}

static int print_json(yolact_handle handle, const char* path)
{
    unsigned char* data = malloc(1 << 24);
    FILE* file = fopen(path, "rb");
    if (!data || !file)
        return die(path);
    size_t size = fread(data, 1, 1 << 24, file);
    fclose(file);
    data = realloc(data, size ? size : 1); /* of the file's very size, so that a read beyond it is noticed */
    uint32_t width, height;
    image_kind kind = read_image_header(data, size, &width, &height);
    fprintf(stderr, "%d %lux%lu\n", (int)kind, (unsigned long)width, (unsigned long)height);

    yolact_image image;
    yolact_results* results;
    if (yolact_image_decode(data, size, &image) != YOLACT_OK || yolact_infer(handle, &image, 1, &results) != YOLACT_OK)
        return die(yolact_last_error());
    text json = {0};
    write_results(&json, handle, path, &results->images[0], image.width, image.height);
    fwrite(json.data, 1, json.size, stdout);
    text_free(&json);
    yolact_results_free(results);
    yolact_image_free(&image);
    free(data);
    return 0;
}

int main(int argc, char** argv)
{
    yolact_options options = YOLACT_OPTIONS_DEFAULT;
    options.score_threshold = 0;
    yolact_handle handle;
    if (argc < 2 || yolact_open(argv[1], &options, &handle) != YOLACT_OK)
        return die(argc < 2 ? "usage: json_of ENGINE IMAGE..." : yolact_last_error());
    int failed = 0;
    for (int i = 2; i < argc && !failed; i++)
        failed = print_json(handle, argv[i]);
    yolact_close(handle);
    return failed;
}
