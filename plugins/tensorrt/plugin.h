// Makes a TensorRT plugin of an op. An op is a class that can be copied, with
//
//   static const Signature kSignature;        its name, inputs and outputs
//   using Params;                             what its launcher takes
//   Attributes attributes();                  its attributes, and where in the object their values are
//   Sizes sizes() const;                      the sizes that attributes determine
//   Params params(const Sizes&, int32_t type) const;
//                                             the params of a call with these sizes and this YolactElementType
//   static const char* check(const Params*);  null, or the sentence that says what is wrong with the params
//   static size_t workspace(const Params*);   bytes of scratch memory that a call with these params needs
//   static cudaError_t enqueue(const Params&, const void* const* inputs, void* const* outputs, void* workspace,
//                              cudaStream_t);
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>

#include "common/element_type.h"
#include "tensorrt/abi/plugin.h"
#include "tensorrt/diagnostics.h"
#include "tensorrt/fields.h"
#include "tensorrt/signature.h"

namespace yolact {

// As in the ONNX files; see runtime/contract.py.
constexpr char kPluginNamespace[] = "yolact";
constexpr char kPluginVersion[] = "1";

// The results of TensorRT's calls.
constexpr int32_t kSuccess = 0;
constexpr int32_t kRefused = 1;

// The plugin that the function makes, or null: exceptions must not get into TensorRT.
template <typename Function>
nvinfer1::IPluginV3* orNull(const char* op, Function function) noexcept
{
    try {
        return function();
    } catch (const std::exception& error) {
        refuse("%s: the plugin could not be made: %s", op, error.what());
        return nullptr;
    }
}

// False, having said why, where the op's launcher would refuse these params.
template <typename Op>
bool isPossible(const typename Op::Params& params)
{
    const char* problem = Op::check(&params);
    return problem == nullptr || refuse("%s: %s", Op::kSignature.op(), problem);
}

template <typename Op>
class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::IPluginV3OneBuild,
                     public nvinfer1::IPluginV3OneRuntime {
public:
    explicit Plugin(const Op& op) : op_(op), fields_(op_.attributes(), FieldData::kValues) {}

    // IPluginV3
    nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override
    {
        switch (type) {
        case nvinfer1::PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore*>(this);
        case nvinfer1::PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
        case nvinfer1::PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }

    nvinfer1::IPluginV3* clone() noexcept override
    {
        return orNull(getPluginName(), [this] { return new Plugin(op_); });
    }

    // IPluginV3OneCore
    const char* getPluginName() const noexcept override { return Op::kSignature.op(); }
    const char* getPluginVersion() const noexcept override { return kPluginVersion; }
    const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

    // IPluginV3OneBuild
    int32_t getNbOutputs() const noexcept override { return Op::kSignature.outputCount(); }

    bool supportsFormatCombination(
        int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors, int32_t, int32_t) noexcept override
    {
        return Op::kSignature.supportsFormat(position, tensors);
    }

    int32_t getOutputDataTypes(
        nvinfer1::DataType* outputs, int32_t, const nvinfer1::DataType* inputs, int32_t count) const noexcept override
    {
        return Op::kSignature.outputTypes(inputs, count, outputs) ? kSuccess : kRefused;
    }

    int32_t getOutputShapes(
        const nvinfer1::DimsExprs* inputs, int32_t count, const nvinfer1::DimsExprs*, int32_t,
        nvinfer1::DimsExprs* outputs, int32_t, nvinfer1::IExprBuilder& builder) noexcept override
    {
        Call call;
        if (!read(inputs, count, call)) {
            return kRefused;
        }
        Op::kSignature.outputShapes(inputs, call.sizes, outputs, builder);
        return kSuccess;
    }

    int32_t configurePlugin(
        const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t count, const nvinfer1::DynamicPluginTensorDesc*,
        int32_t) noexcept override
    {
        Call call;
        return read(inputs, count, call) ? kSuccess : kRefused;
    }

    size_t getWorkspaceSize(
        const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t count, const nvinfer1::DynamicPluginTensorDesc*,
        int32_t) const noexcept override
    {
        Call call;
        return read(inputs, count, call) ? Op::workspace(&call.params) : 0;
    }

    // IPluginV3OneRuntime
    int32_t onShapeChange(
        const nvinfer1::PluginTensorDesc* inputs, int32_t count, const nvinfer1::PluginTensorDesc*,
        int32_t) noexcept override
    {
        Call call;
        return read(inputs, count, call) ? kSuccess : kRefused;
    }

    int32_t enqueue(
        const nvinfer1::PluginTensorDesc* descriptions, const nvinfer1::PluginTensorDesc*, const void* const* inputs,
        void* const* outputs, void* workspace, cudaStream_t stream) noexcept override
    {
        Call call;
        if (!read(descriptions, Op::kSignature.inputCount(), call)) {
            return kRefused;
        }
        return enqueueStatus(getPluginName(), Op::enqueue(call.params, inputs, outputs, workspace, stream));
    }

    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override
    {
        return clone();  // a plugin keeps nothing between calls that contexts could share
    }

    const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override { return fields_.collection(); }

private:
    struct Call {
        Sizes sizes;
        typename Op::Params params{};
    };

    // Describes a call with such inputs. False, having said why, where the op cannot do it. Inputs are the descriptions
    // that TensorRT gives at different times: shapes, a range of shapes with types, or a shape with types.
    template <typename Input>
    bool read(const Input* inputs, int32_t count, Call& call) const
    {
        call.sizes = op_.sizes();
        if (!Op::kSignature.readSizes(inputs, count, call.sizes)) {
            return false;
        }
        call.params = op_.params(call.sizes, elementTypeOf(inputs[0]));
        return isPossible<Op>(call.params);
    }

    Op op_;
    FieldList fields_;
};

template <typename Op>
class Creator final : public nvinfer1::IPluginCreatorV3One {
public:
    Creator() : fields_(op_.attributes(), FieldData::kNone) {}

    const char* getPluginName() const noexcept override { return Op::kSignature.op(); }
    const char* getPluginVersion() const noexcept override { return kPluginVersion; }
    const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

    const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return fields_.collection(); }

    nvinfer1::IPluginV3* createPlugin(
        const char*, const nvinfer1::PluginFieldCollection* fields, nvinfer1::TensorRTPhase) noexcept override
    {
        return orNull(getPluginName(), [this, fields]() -> nvinfer1::IPluginV3* {
            Op op;
            if (!readAttributes(getPluginName(), op.attributes(), fields) ||
                !isPossible<Op>(op.params(Sizes::smallest(), YOLACT_FLOAT32))) {
                return nullptr;
            }
            return new Plugin<Op>(op);
        });
    }

private:
    Op op_;  // its attributes' names and types are what counts here
    FieldList fields_;
};

}  // namespace yolact
