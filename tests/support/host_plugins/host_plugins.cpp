// Does with one plugin on the CPU everything that TensorRT does with it, from the attributes to `enqueue`, in the order
// of TensorRT's documentation. It is linked with the plugins, and with the kernels built for the CPU.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "host_tensorrt.h"
#include "tensorrt/diagnostics.h"

using namespace nvinfer1;

extern "C" IPluginCreatorInterface* const* getCreators(int32_t& count);
extern "C" void setLoggerFinder(void* finder);

// The plugins ask the library that the logger finder comes from which release it is.
extern "C" int32_t getInferLibVersion();
int32_t getInferLibVersion() { return host_plugins::version; }

extern "C" {

struct HostField {
    const char* name;
    const void* data;
    int32_t type, length;
};

struct HostTensor {
    void* data;
    int32_t type, rank;
    int64_t dims[Dims::MAX_DIMS];  // -1 where the batch is open
};

struct HostOp {
    const char* name;
    const HostField* fields;
    const HostTensor* inputs;
    HostTensor* outputs;  // the caller gives the data, the plugin types and shapes
    int32_t fieldCount, inputCount, outputCount;
    int32_t batch;      // images to run; -1: stop where TensorRT would build the engine
    int32_t largest;    // batch of the optimization profile
    int64_t workspace;  // bytes that the plugin asked for
};

}  // extern "C"

namespace {

template <typename T>
T* capability(IPluginV3* plugin, PluginCapabilityType type)
{
    return static_cast<T*>(plugin->getCapabilityInterface(type));
}

PluginTensorDesc describe(const HostTensor& tensor, int32_t batch)
{
    PluginTensorDesc desc{};
    desc.type = static_cast<DataType>(tensor.type);
    desc.format = TensorFormat::kLINEAR;
    desc.dims.nbDims = tensor.rank;
    std::copy_n(tensor.dims, Dims::MAX_DIMS, desc.dims.d);
    if (tensor.rank > 0 && desc.dims.d[0] < 0) {
        desc.dims.d[0] = batch;
    }
    return desc;
}

DynamicPluginTensorDesc describeRange(const HostTensor& tensor, int32_t largest)
{
    DynamicPluginTensorDesc range{};
    range.desc = describe(tensor, -1);
    range.min = describe(tensor, 1).dims;
    range.opt = describe(tensor, (1 + largest) / 2).dims;
    range.max = describe(tensor, largest).dims;
    return range;
}

IPluginCreatorV3One* creatorOf(const char* name)
{
    int32_t count = 0;
    IPluginCreatorInterface* const* creators = getCreators(count);
    for (int32_t i = 0; i < count; ++i) {
        auto* creator = static_cast<IPluginCreatorV3One*>(creators[i]);
        if (std::strcmp(creator->getPluginName(), name) == 0) {
            return creator;
        }
    }
    return nullptr;
}

bool formatsFit(IPluginV3OneBuild& build, const std::vector<DynamicPluginTensorDesc>& tensors, int32_t inputs)
{
    const auto outputs = static_cast<int32_t>(tensors.size()) - inputs;
    for (int32_t i = 0; i < inputs + outputs; ++i) {
        std::vector<DynamicPluginTensorDesc> other = tensors;
        other[i].desc.format = static_cast<TensorFormat>(5);  // 32 channels side by side
        if (!build.supportsFormatCombination(i, tensors.data(), inputs, outputs) ||
            build.supportsFormatCombination(i, other.data(), inputs, outputs)) {
            return false;
        }
    }
    return true;
}

bool infer(IPluginV3OneBuild& build, HostOp& op)
{
    std::vector<DataType> inputTypes, outputTypes(op.outputCount);
    std::vector<DimsExprs> inputShapes(op.inputCount), outputShapes(op.outputCount);
    host_plugins::ExpressionBuilder expressions;
    for (int32_t i = 0; i < op.inputCount; ++i) {
        inputTypes.push_back(static_cast<DataType>(op.inputs[i].type));
        inputShapes[i].nbDims = op.inputs[i].rank;
        for (int32_t d = 0; d < op.inputs[i].rank; ++d) {
            inputShapes[i].d[d] = expressions.constant(op.inputs[i].dims[d]);
        }
    }
    if (build.getOutputDataTypes(outputTypes.data(), op.outputCount, inputTypes.data(), op.inputCount) != 0 ||
        build.getOutputShapes(
            inputShapes.data(), op.inputCount, nullptr, 0, outputShapes.data(), op.outputCount, expressions) != 0) {
        return false;
    }
    for (int32_t i = 0; i < op.outputCount; ++i) {
        op.outputs[i].type = static_cast<int32_t>(outputTypes[i]);
        op.outputs[i].rank = outputShapes[i].nbDims;
        for (int32_t d = 0; d < outputShapes[i].nbDims; ++d) {
            const IDimensionExpr* size = outputShapes[i].d[d];
            op.outputs[i].dims[d] = size->isConstant() ? size->getConstantValue() : -1;
        }
    }
    return true;
}

// The buffers of one call. Behind the workspace lie bytes that must not change.
class Call {
public:
    explicit Call(const HostOp& op) : workspace_(op.workspace + kAlignment + kGuard, kUntouched)
    {
        for (int32_t i = 0; i < op.inputCount; ++i) {
            inputDescs_.push_back(describe(op.inputs[i], op.batch));
            inputs_.push_back(op.inputs[i].data);
        }
        for (int32_t i = 0; i < op.outputCount; ++i) {
            outputDescs_.push_back(describe(op.outputs[i], op.batch));
            outputs_.push_back(op.outputs[i].data);
        }
        start_ = (kAlignment - reinterpret_cast<uintptr_t>(workspace_.data()) % kAlignment) % kAlignment;
        end_ = workspace_.begin() + start_ + op.workspace;
    }

    bool changeShape(IPluginV3OneRuntime& runtime)
    {
        return runtime.onShapeChange(
                   inputDescs_.data(), static_cast<int32_t>(inputs_.size()), outputDescs_.data(),
                   static_cast<int32_t>(outputs_.size())) == 0;
    }

    bool enqueue(IPluginV3OneRuntime& runtime)
    {
        return runtime.enqueue(
                   inputDescs_.data(), outputDescs_.data(), inputs_.data(), outputs_.data(), workspace_.data() + start_,
                   nullptr) == 0 &&
               std::all_of(end_, workspace_.end(), [](uint8_t byte) { return byte == kUntouched; });
    }

private:
    static constexpr size_t kAlignment = 256, kGuard = 4096;
    static constexpr uint8_t kUntouched = 0xcd;

    std::vector<PluginTensorDesc> inputDescs_, outputDescs_;
    std::vector<const void*> inputs_;
    std::vector<void*> outputs_;
    std::vector<uint8_t> workspace_;
    size_t start_;
    std::vector<uint8_t>::iterator end_;
};

// Null, or what refused.
const char* build(IPluginV3& plugin, HostOp& op)
{
    auto& build = *capability<IPluginV3OneBuild>(&plugin, PluginCapabilityType::kBUILD);
    if (build.getNbOutputs() != op.outputCount) {
        return "getNbOutputs";
    }
    if (!infer(build, op)) {
        return "getOutputDataTypes or getOutputShapes";
    }
    std::vector<DynamicPluginTensorDesc> tensors;
    for (int32_t i = 0; i < op.inputCount + op.outputCount; ++i) {
        const HostTensor& tensor = i < op.inputCount ? op.inputs[i] : op.outputs[i - op.inputCount];
        tensors.push_back(describeRange(tensor, op.largest));
    }
    if (!formatsFit(build, tensors, op.inputCount)) {
        return "supportsFormatCombination";
    }
    const DynamicPluginTensorDesc* outputs = tensors.data() + op.inputCount;
    if (build.configurePlugin(tensors.data(), op.inputCount, outputs, op.outputCount) != 0) {
        return "configurePlugin";
    }
    op.workspace = static_cast<int64_t>(build.getWorkspaceSize(tensors.data(), op.inputCount, outputs, op.outputCount));
    return nullptr;
}

// Runs the plugin as an engine does: it is made again from the fields that it serialises, and attached to a context.
const char* run(IPluginCreatorV3One& creator, IPluginV3& built, const HostOp& op)
{
    auto* runtime = capability<IPluginV3OneRuntime>(&built, PluginCapabilityType::kRUNTIME);
    const PluginFieldCollection* stored = runtime->getFieldsToSerialize();
    const std::unique_ptr<IPluginV3> loaded(creator.createPlugin(op.name, stored, TensorRTPhase::kRUNTIME));
    if (loaded == nullptr) {
        return "createPlugin at run time";
    }
    runtime = capability<IPluginV3OneRuntime>(loaded.get(), PluginCapabilityType::kRUNTIME);
    const std::unique_ptr<IPluginV3> attached(runtime->attachToContext(nullptr));
    runtime = capability<IPluginV3OneRuntime>(attached.get(), PluginCapabilityType::kRUNTIME);
    Call call(op);
    if (!call.changeShape(*runtime)) {
        return "onShapeChange";
    }
    return call.enqueue(*runtime) ? nullptr : "enqueue";
}

}  // namespace

// What a plugin reports where a launch ended with this cudaError_t.
extern "C" const char* host_plugin_launch_error(int status)
{
    setLoggerFinder(host_plugins::loggerFinder());
    host_plugins::messages.clear();
    yolact::enqueueStatus("Op", static_cast<cudaError_t>(status));
    return host_plugins::messages.c_str();
}

// From now on TensorRT is of this version, such as 100300.
extern "C" void host_plugin_release(int32_t version) { host_plugins::version = version; }

extern "C" const char* host_plugin_messages() { return host_plugins::messages.c_str(); }

// Null where all went well, else the function that refused; why is in the messages.
extern "C" const char* host_plugin_run(HostOp* op)
{
    setLoggerFinder(host_plugins::loggerFinder());
    host_plugins::messages.clear();
    IPluginCreatorV3One* creator = creatorOf(op->name);
    std::vector<PluginField> fields;
    for (int32_t i = 0; i < op->fieldCount; ++i) {
        const HostField& field = op->fields[i];
        fields.emplace_back(field.name, field.data, static_cast<PluginFieldType>(field.type), field.length);
    }
    PluginFieldCollection collection{};
    collection.nbFields = op->fieldCount;
    collection.fields = fields.data();
    std::unique_ptr<IPluginV3> created(creator->createPlugin(op->name, &collection, TensorRTPhase::kBUILD));
    if (created == nullptr) {
        return "createPlugin";
    }
    const std::unique_ptr<IPluginV3> plugin(created->clone());
    created.reset();  // a clone must not depend on what it is from
    const char* refused = build(*plugin, *op);
    return refused != nullptr || op->batch < 0 ? refused : run(*creator, *plugin, *op);
}
