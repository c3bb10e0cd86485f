// The tensors that an op takes and gives, as a table, and the answers to TensorRT that follow from the table.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tensorrt/abi/plugin.h"

namespace yolact {

enum class Element {
    kNetwork,  // FP32, FP16 or BF16: whatever the network computes in, the same for all tensors of this kind
    kFloat,    // FP32
    kInt32,
};

struct TensorSpec {
    const char* name;
    Element element;
    const char* shape;  // a character per dimension: a digit is the size itself, a letter the name of a size
};

// The sizes that the letters of an op's shapes stand for. Only B, the batch, may be open until the network runs.
class Sizes {
public:
    Sizes() = default;
    Sizes(char letter, int32_t size, const char* attribute) { at(letter) = {size, attribute}; }

    // Sizes that every op takes, to check its attributes before any tensor is known. Fast NMS needs two logits.
    static Sizes smallest()
    {
        Sizes sizes;
        for (Size& size : sizes.sizes_) {
            size.size = 2;
        }
        return sizes;
    }

    // 0 for a batch that is open, so that the other sizes can be checked.
    int32_t operator[](char letter) const { return std::max(sizes_[letter - 'A'].size, 0); }

private:
    friend class Signature;

    struct Size {
        int32_t size = 0;
        const char* source = nullptr;  // the tensor or attribute that the size is from, for errors
    };

    Size& at(char letter) { return sizes_[letter - 'A']; }

    Size sizes_[26];
};

class Signature {
public:
    template <size_t kInputs, size_t kOutputs>
    constexpr Signature(const char* op, const TensorSpec (&inputs)[kInputs], const TensorSpec (&outputs)[kOutputs])
        : op_(op), inputs_(inputs), input_count_(kInputs), outputs_(outputs), output_count_(kOutputs)
    {
    }

    const char* op() const { return op_; }
    int32_t inputCount() const { return input_count_; }
    int32_t outputCount() const { return output_count_; }

    // Whether the tensor at this position, inputs before outputs, may have the format and type that it has in
    // `tensors`. It reports nothing, as TensorRT tries many formats.
    bool supportsFormat(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors) const;

    // The outputs' types. False, having said why, where the inputs' number or types do not fit the table.
    bool outputTypes(const nvinfer1::DataType* inputs, int32_t count, nvinfer1::DataType* outputs) const;

    // The outputs' shapes, once readSizes has taken the inputs.
    void outputShapes(
        const nvinfer1::DimsExprs* inputs, const Sizes& sizes, nvinfer1::DimsExprs* outputs,
        nvinfer1::IExprBuilder& builder) const;

    // The sizes that the inputs' shapes have, added to `sizes`. False, having said why, where ranks or sizes do not fit
    // the table or one another.
    bool readSizes(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t count, Sizes& sizes) const;
    bool readSizes(const nvinfer1::PluginTensorDesc* inputs, int32_t count, Sizes& sizes) const;
    bool readSizes(const nvinfer1::DimsExprs* inputs, int32_t count, Sizes& sizes) const;

private:
    template <typename Shape>
    bool readAll(int32_t count, Sizes& sizes, Shape shapeOf) const;
    bool readOne(const TensorSpec& tensor, const nvinfer1::Dims& shape, Sizes& sizes) const;

    bool readDimension(const TensorSpec& tensor, int32_t dimension, int64_t size, Sizes& sizes) const;
    bool hasCount(int32_t inputs) const;

    const char* op_;
    const TensorSpec* inputs_;
    int32_t input_count_;
    const TensorSpec* outputs_;
    int32_t output_count_;
};

// A YolactElementType, or -1 for a type that networks do not compute in.
int32_t elementTypeOf(nvinfer1::DataType type);
int32_t elementTypeOf(const nvinfer1::DynamicPluginTensorDesc& tensor);
int32_t elementTypeOf(const nvinfer1::PluginTensorDesc& tensor);
int32_t elementTypeOf(const nvinfer1::DimsExprs& shape);  // FP32: TensorRT asks for shapes before it tells types

}  // namespace yolact
