// Sizes that TensorRT knows only as expressions while a network is parsed: its objects, which plugins read and copy.
#pragma once

#include <cstdint>

#include "tensorrt/abi/tensors.h"

namespace nvinfer1 {

class IDimensionExpr;
enum class DimensionOperation : int32_t;

// Implemented by TensorRT. Its objects point to these, so that functions can be added without moving others.
namespace apiv {

class VRoot {
public:
    virtual ~VRoot() noexcept = default;
};

class VDimensionExpr : public VRoot {
public:
    virtual bool isConstant() const = 0;
    virtual int64_t getConstantValue() const = 0;
    virtual bool isSizeTensor() const = 0;
};

class VExprBuilder : public VRoot {
public:
    virtual const IDimensionExpr* constant(int64_t value) = 0;
    virtual const IDimensionExpr* operation(
        DimensionOperation operation, const IDimensionExpr& first, const IDimensionExpr& second) = 0;
    virtual const IDimensionExpr* declareSizeTensor(
        int32_t output, const IDimensionExpr& optimum, const IDimensionExpr& upper) = 0;
};

}  // namespace apiv

class INoCopy {
protected:
    INoCopy() = default;
    virtual ~INoCopy() = default;
    INoCopy(const INoCopy&) = delete;
    INoCopy& operator=(const INoCopy&) = delete;
};

// One size. Only a constant has a value.
class IDimensionExpr : public INoCopy {
public:
    bool isConstant() const noexcept { return mImpl->isConstant(); }
    int64_t getConstantValue() const noexcept { return mImpl->getConstantValue(); }

protected:
    apiv::VDimensionExpr* mImpl;
};

class IExprBuilder : public INoCopy {
public:
    const IDimensionExpr* constant(int64_t value) noexcept { return mImpl->constant(value); }

protected:
    apiv::VExprBuilder* mImpl;
};

class DimsExprs {
public:
    int32_t nbDims;
    const IDimensionExpr* d[Dims::MAX_DIMS];
};

}  // namespace nvinfer1
