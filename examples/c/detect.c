/* Finds instances in a photo: detect yolact.onnx photo.jpg
 *
 * export PKG_CONFIG_PATH=$PWD/runtime/capi/lib; cc examples/c/detect.c $(pkg-config --cflags --libs yolact) -o detect
 */
#include <stdio.h>
#include <yolact.h>

static int die(const char* sentence)
{
    fprintf(stderr, "%s\n", sentence);
    return 1;
}

int main(int argc, char** argv)
{
    static unsigned char photo[32 << 20];
    FILE* file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!file)
        return die("usage: detect ENGINE PHOTO");
    size_t size = fread(photo, 1, sizeof photo, file);
    fclose(file);

    yolact_handle detector;
    yolact_image image;
    yolact_results* results;
    if (yolact_open(argv[1], NULL, &detector) != YOLACT_OK || yolact_image_decode(photo, size, &image) != YOLACT_OK ||
        yolact_infer(detector, &image, 1, &results) != YOLACT_OK)
        return die(yolact_last_error());
    const yolact_detections* found = &results->images[0];
    for (size_t i = 0; i < found->count; i++) {
        const float* box = &found->boxes[4 * i];
        printf("%s %.6f", yolact_class_name(detector, found->class_ids[i]), (double)found->scores[i]);
        printf(" %.3f %.3f %.3f %.3f", (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
        printf(" mask %dx%d\n", (int)found->masks[i].width, (int)found->masks[i].height);
    }
    yolact_results_free(results);
    yolact_image_free(&image);
    return yolact_close(detector);
}
