#include "encoded_images.h"

#include "base64.h"
#include "inference_refusal.h"

/* An element of data: a text, or, as the shape has it, a list of one. */
static char* read_word(json_reader* from)
{
    size_t count = 0;
    if (!json_is_list(from))
        return json_text(from);
    json_enter(from, '[');
    char* words = json_goes_on(from, ']', &count) ? json_text(from) : NULL;
    int goes_on = json_goes_on(from, ']', &count);
    if (!from->expected && (!words || goes_on))
        from->expected = "a list of one text";
    return words;
}

int take_base64_images(inference_request* to, json_reader* from)
{
    size_t count = 0;
    json_enter(from, '[');
    while (json_goes_on(from, ']', &count)) {
        char* words = read_word(from);
        if (!words || count > to->image_count)
            break;
        long size = base64_decode(words);
        if (size < 0)
            return refuse_inference(
                to,
                "image %zu of %zu: expected a file in base64, got other text; bytes as they are go after the JSON, "
                "with Inference-Header-Content-Length",
                count, to->image_count);
        to->images[count - 1] = (encoded_image){(unsigned char*)words, (size_t)size};
    }
    if (from->expected)
        return refuse_json(to, from);
    if (count != to->image_count)
        return refuse_inference(
            to, "expected as many images in data as the shape says, %zu, got %s", to->image_count,
            count > to->image_count ? "more" : "fewer");
    return 200;
}

int take_binary_images(inference_request* to, const unsigned char* data, size_t size)
{
    for (size_t i = 0; i < to->image_count; i++) {
        enum { LENGTH = 4 };
        size_t length = 0;
        if (size < LENGTH)
            return refuse_inference(
                to, "image %zu of %zu: expected a length of 4 bytes, got the end of the body", i + 1, to->image_count);
        for (int byte = LENGTH - 1; byte >= 0; byte--)
            length = length << 8 | data[byte];
        data += LENGTH;
        size -= LENGTH;
        if (length > size)
            return refuse_inference(
                to, "image %zu of %zu: expected the %zu bytes that its length says, got %zu", i + 1, to->image_count,
                length, size);
        to->images[i] = (encoded_image){data, length};
        data += length;
        size -= length;
    }
    if (size > 0)
        return refuse_inference(
            to, "expected the body to end after image %zu, got %zu more bytes", to->image_count, size);
    return 200;
}
