/* Finds instances in a photo: detect yolact.onnx photo.jpg
 *
 * export PKG_CONFIG_PATH=$PWD/runtime/capi/lib; cc examples/c/detect.c $(pkg-config --cflags --libs yolact) -o detect
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yolact.h>

static int die(const char* subject, const char* sentence)
{
    fprintf(stderr, "%s: %s\n", subject, sentence);
    return 1;
}

/* The file's bytes, to be freed by the caller, or NULL with errno set. */
static unsigned char* read_file(const char* path, size_t* size)
{
    FILE* file = fopen(path, "rb");
    unsigned char* bytes = NULL;
    size_t room = 0;
    *size = 0;
    while (file && !feof(file) && !ferror(file)) {
        if (*size == room) {
            unsigned char* larger = realloc(bytes, room = 2 * room + (1 << 20));
            if (!larger)
                break;
            bytes = larger;
        }
        *size += fread(bytes + *size, 1, room - *size, file);
    }
    int is_whole = file && feof(file), problem = errno;
    if (file)
        fclose(file);
    if (is_whole)
        return bytes;
    free(bytes);
    errno = problem;
    return NULL;
}

/* Prints a name without characters that control a terminal, since the engine file may come from a stranger. */
static void print_name(const char* name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
}

static void print_detections(yolact_handle detector, const yolact_detections* found)
{
    for (size_t i = 0; i < found->count; i++) {
        const float* box = &found->boxes[4 * i];
        print_name(yolact_class_name(detector, found->class_ids[i]));
        printf(" %.6f", (double)found->scores[i]);
        printf(" %.3f %.3f %.3f %.3f", (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
        printf(" mask %dx%d\n", (int)found->masks[i].width, (int)found->masks[i].height);
    }
}

int main(int argc, char** argv)
{
    if (argc != 3)
        return die("usage", "detect ENGINE PHOTO");
    yolact_handle detector;
    yolact_image image;
    yolact_results* results;
    size_t size;
    unsigned char* photo = read_file(argv[2], &size);
    if (!photo)
        return die(argv[2], strerror(errno));
    if (yolact_image_decode(photo, size, &image) != YOLACT_OK)
        return die(argv[2], yolact_last_error());
    free(photo);
    if (yolact_open(argv[1], NULL, &detector) != YOLACT_OK || yolact_infer(detector, &image, 1, &results) != YOLACT_OK)
        return die("detect", yolact_last_error());
    print_detections(detector, &results->images[0]);
    yolact_results_free(results);
    yolact_image_free(&image);
    return yolact_close(detector);
}
