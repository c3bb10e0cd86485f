#include "tensorrt/signature.h"

#include <cctype>
#include <cstdio>
#include <cstring>
#include <limits>

#include "common/element_type.h"
#include "tensorrt/diagnostics.h"

namespace yolact {
namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

constexpr char kBatch = 'B';
constexpr int64_t kOpen = -1;

// "BP4" written as "B, P, 4".
struct ShapeText {
    explicit ShapeText(const char* shape)
    {
        char* end = text;
        for (const char* letter = shape; *letter != '\0'; ++letter) {
            end += std::snprintf(end, 4, "%s%c", letter == shape ? "" : ", ", *letter);
        }
    }

    char text[3 * Dims::MAX_DIMS + 1] = "";
};

Dims shapeOf(const DimsExprs& expressions)
{
    Dims shape{};
    shape.nbDims = expressions.nbDims;
    for (int32_t i = 0; i < shape.nbDims; ++i) {
        const nvinfer1::IDimensionExpr* size = expressions.d[i];
        shape.d[i] = size != nullptr && size->isConstant() ? size->getConstantValue() : kOpen;
    }
    return shape;
}

bool matches(Element element, DataType type, DataType network)
{
    switch (element) {
    case Element::kNetwork: return type == network && elementTypeOf(type) >= 0;
    case Element::kFloat: return type == DataType::kFLOAT;
    case Element::kInt32: return type == DataType::kINT32;
    }
    return false;
}

const char* nameOf(Element element)
{
    switch (element) {
    case Element::kNetwork: return "FP32, FP16 or BF16, the same as the op's first input";
    case Element::kFloat: return "FP32";
    case Element::kInt32: return "INT32";
    }
    return "";
}

const char* nameOf(DataType type)
{
    switch (type) {
    case DataType::kFLOAT: return "FP32";
    case DataType::kHALF: return "FP16";
    case DataType::kBF16: return "BF16";
    case DataType::kINT32: return "INT32";
    case DataType::kINT64: return "INT64";
    case DataType::kINT8: return "INT8";
    case DataType::kUINT8: return "UINT8";
    case DataType::kBOOL: return "BOOL";
    default: return "of another type";
    }
}

}  // namespace

int32_t elementTypeOf(DataType type)
{
    switch (type) {
    case DataType::kFLOAT: return YOLACT_FLOAT32;
    case DataType::kHALF: return YOLACT_FLOAT16;
    case DataType::kBF16: return YOLACT_BFLOAT16;
    default: return -1;
    }
}

int32_t elementTypeOf(const DynamicPluginTensorDesc& tensor) { return elementTypeOf(tensor.desc.type); }

int32_t elementTypeOf(const PluginTensorDesc& tensor) { return elementTypeOf(tensor.type); }

int32_t elementTypeOf(const DimsExprs&) { return YOLACT_FLOAT32; }

bool Signature::supportsFormat(int32_t position, const DynamicPluginTensorDesc* tensors) const
{
    const TensorSpec& tensor = position < input_count_ ? inputs_[position] : outputs_[position - input_count_];
    const PluginTensorDesc& desc = tensors[position].desc;
    // The first input is of the network's type in both ops.
    return desc.format == TensorFormat::kLINEAR && matches(tensor.element, desc.type, tensors[0].desc.type);
}

bool Signature::outputTypes(const DataType* inputs, int32_t count, DataType* outputs) const
{
    if (!hasCount(count)) {
        return false;
    }
    for (int32_t i = 0; i < count; ++i) {
        if (!matches(inputs_[i].element, inputs[i], inputs[0])) {
            return refuse(
                "%s: %s should be %s, but is %s", op_, inputs_[i].name, nameOf(inputs_[i].element), nameOf(inputs[i]));
        }
    }
    for (int32_t i = 0; i < output_count_; ++i) {
        const Element element = outputs_[i].element;
        outputs[i] = element == Element::kNetwork ? inputs[0]
                     : element == Element::kFloat ? DataType::kFLOAT
                                                  : DataType::kINT32;
    }
    return true;
}

void Signature::outputShapes(
    const DimsExprs* inputs, const Sizes& sizes, DimsExprs* outputs, nvinfer1::IExprBuilder& builder) const
{
    for (int32_t i = 0; i < output_count_; ++i) {
        const char* shape = outputs_[i].shape;
        outputs[i].nbDims = static_cast<int32_t>(std::strlen(shape));
        for (int32_t d = 0; d < outputs[i].nbDims; ++d) {
            const bool literal = std::isdigit(shape[d]) != 0;
            outputs[i].d[d] =
                shape[d] == kBatch ? inputs[0].d[0] : builder.constant(literal ? shape[d] - '0' : sizes[shape[d]]);
        }
    }
}

bool Signature::readSizes(const DynamicPluginTensorDesc* inputs, int32_t count, Sizes& sizes) const
{
    return readAll(count, sizes, [inputs](int32_t i) { return inputs[i].max; });
}

bool Signature::readSizes(const PluginTensorDesc* inputs, int32_t count, Sizes& sizes) const
{
    return readAll(count, sizes, [inputs](int32_t i) { return inputs[i].dims; });
}

bool Signature::readSizes(const DimsExprs* inputs, int32_t count, Sizes& sizes) const
{
    return readAll(count, sizes, [inputs](int32_t i) { return shapeOf(inputs[i]); });
}

template <typename Shape>
bool Signature::readAll(int32_t count, Sizes& sizes, Shape shapeOf) const
{
    if (!hasCount(count)) {
        return false;
    }
    for (int32_t i = 0; i < count; ++i) {
        if (!readOne(inputs_[i], shapeOf(i), sizes)) {
            return false;
        }
    }
    return true;
}

bool Signature::hasCount(int32_t inputs) const
{
    return inputs == input_count_ || refuse("%s: takes %d inputs, but there are %d", op_, input_count_, inputs);
}

bool Signature::readOne(const TensorSpec& tensor, const Dims& shape, Sizes& sizes) const
{
    if (shape.nbDims != static_cast<int32_t>(std::strlen(tensor.shape))) {
        return refuse(
            "%s: %s should have the shape (%s), but has %d dimensions", op_, tensor.name, ShapeText(tensor.shape).text,
            shape.nbDims);
    }
    for (int32_t i = 0; i < shape.nbDims; ++i) {
        if (!readDimension(tensor, i, shape.d[i], sizes)) {
            return false;
        }
    }
    return true;
}

bool Signature::readDimension(const TensorSpec& tensor, int32_t dimension, int64_t size, Sizes& sizes) const
{
    const char letter = tensor.shape[dimension];
    const ShapeText expected(tensor.shape);
    if (size == kOpen && letter != kBatch) {
        return refuse(
            "%s: dimension %d of %s (%s) is open; only the batch may be, so export the model with fixed "
            "sizes",
            op_, dimension, tensor.name, expected.text);
    }
    if (size < kOpen || size > std::numeric_limits<int32_t>::max()) {
        return refuse(
            "%s: dimension %d of %s (%s) is %lld, which is not below 2^31", op_, dimension, tensor.name, expected.text,
            static_cast<long long>(size));
    }
    if (std::isdigit(letter) != 0) {
        return size == letter - '0' || refuse(
                                           "%s: dimension %d of %s (%s) should be %c, but is %d", op_, dimension,
                                           tensor.name, expected.text, letter, static_cast<int>(size));
    }
    Sizes::Size& known = sizes.at(letter);
    if (known.source == nullptr || known.size == kOpen) {
        known = {static_cast<int32_t>(size), tensor.name};
    }
    return size == kOpen || size == known.size ||
           refuse(
               "%s: dimension %d of %s (%s) is %d, but %c is %d in %s", op_, dimension, tensor.name, expected.text,
               static_cast<int>(size), letter, known.size, known.source);
}

}  // namespace yolact
