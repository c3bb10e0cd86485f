/* Finds instances in a photo: detect yolact.onnx photo.ppm (any image tool writes PPM files)
 *
 * export PKG_CONFIG_PATH=$PWD/runtime/capi/lib; cc examples/c/detect.c $(pkg-config --cflags --libs yolact) -o detect
 */
#include <stdio.h>
#include <stdlib.h>
#include <yolact.h>

static int die(const char* sentence)
{
    fprintf(stderr, "%s\n", sentence);
    return 1;
}

int main(int argc, char** argv)
{
    int width, height;
    FILE* file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!file || fscanf(file, "P6 %d %d 255", &width, &height) != 2 || width < 1 || height < 1)
        return die("usage: detect ENGINE PHOTO.ppm, where the photo has 8 bits a channel");
    fgetc(file); /* the one white space before the pixels */
    size_t stride = (size_t)width * 3;
    uint8_t* pixels = malloc(stride * (size_t)height);
    if (!pixels || fread(pixels, stride, (size_t)height, file) != (size_t)height)
        return die("the photo is cut off, or too large");
    fclose(file);

    yolact_handle detector;
    yolact_results* results;
    if (yolact_open(argv[1], NULL, &detector) != YOLACT_OK)
        return die(yolact_last_error());
    yolact_image image = {pixels, height, width, stride, YOLACT_FORMAT_RGB};
    if (yolact_infer(detector, &image, 1, &results) != YOLACT_OK)
        return die(yolact_last_error());
    const yolact_detections* found = &results->images[0];
    for (size_t i = 0; i < found->count; i++) {
        const float* box = &found->boxes[4 * i];
        printf("%s %.6f", yolact_class_name(detector, found->class_ids[i]), (double)found->scores[i]);
        printf(" %.3f %.3f %.3f %.3f", (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
        printf(" mask %dx%d\n", (int)found->masks[i].width, (int)found->masks[i].height);
    }
    yolact_results_free(results);
    free(pixels);
    yolact_close(detector);
    return 0;
}
