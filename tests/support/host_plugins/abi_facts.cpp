// Prints what a plugin and TensorRT must agree on, a line each: sizes, offsets, places of virtual functions, values and
// names. Compiled with the toolkit's own declarations, or with NVIDIA's headers where NVIDIA_HEADERS is defined.
#ifdef NVIDIA_HEADERS
#include <NvInferRuntime.h>
#else
#include "tensorrt/abi/plugin.h"
#endif

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <typeinfo>

using namespace nvinfer1;

namespace {

// In the Itanium C++ ABI a pointer to a virtual function is one more than its offset in the table.
template <typename Function>
long placeOf(Function function)
{
    ptrdiff_t words[2];
    static_assert(sizeof words == sizeof function, "a pointer to a member function is a pair");
    std::memcpy(words, &function, sizeof words);
    return (words[0] - 1) / static_cast<long>(sizeof(void*));
}

#define PLACE(type, function) std::printf(#type "::" #function " place %ld\n", placeOf(&type::function))
#define SIZE(type) \
    std::printf(#type " size %zu alignment %zu class %s\n", sizeof(type), alignof(type), typeid(type).name())
#define OFFSET(type, member) std::printf(#type "." #member " offset %zu\n", offsetof(type, member))
#define VALUE(name) std::printf(#name " is %ld\n", static_cast<long>(name))

void printValues()
{
    VALUE(DataType::kFLOAT);
    VALUE(DataType::kHALF);
    VALUE(DataType::kINT32);
    VALUE(DataType::kINT8);
    VALUE(DataType::kBOOL);
    VALUE(DataType::kUINT8);
    VALUE(DataType::kBF16);
    VALUE(DataType::kINT64);
    VALUE(TensorFormat::kLINEAR);
    VALUE(PluginFieldType::kFLOAT32);
    VALUE(PluginFieldType::kINT32);
    VALUE(PluginFieldType::kUNKNOWN);
    VALUE(TensorRTPhase::kBUILD);
    VALUE(TensorRTPhase::kRUNTIME);
    VALUE(PluginCapabilityType::kCORE);
    VALUE(PluginCapabilityType::kBUILD);
    VALUE(PluginCapabilityType::kRUNTIME);
    VALUE(APILanguage::kCPP);
    VALUE(Dims::MAX_DIMS);
    VALUE(IPluginV3OneBuild::kDEFAULT_FORMAT_COMBINATION_LIMIT);
}

void printStructures()
{
    SIZE(DataType);
    SIZE(TensorFormat);
    SIZE(DimensionOperation);
    SIZE(PluginFieldType);
    SIZE(Dims);
    OFFSET(Dims, nbDims);
    OFFSET(Dims, d);
    SIZE(PluginTensorDesc);
    OFFSET(PluginTensorDesc, dims);
    OFFSET(PluginTensorDesc, type);
    OFFSET(PluginTensorDesc, format);
    OFFSET(PluginTensorDesc, scale);
    SIZE(DynamicPluginTensorDesc);
    OFFSET(DynamicPluginTensorDesc, desc);
    OFFSET(DynamicPluginTensorDesc, min);
    OFFSET(DynamicPluginTensorDesc, max);
    OFFSET(DynamicPluginTensorDesc, opt);
    SIZE(DimsExprs);
    OFFSET(DimsExprs, nbDims);
    OFFSET(DimsExprs, d);
    SIZE(PluginField);
    OFFSET(PluginField, name);
    OFFSET(PluginField, data);
    OFFSET(PluginField, type);
    OFFSET(PluginField, length);
    SIZE(PluginFieldCollection);
    OFFSET(PluginFieldCollection, nbFields);
    OFFSET(PluginFieldCollection, fields);
    SIZE(InterfaceInfo);
    OFFSET(InterfaceInfo, kind);
    OFFSET(InterfaceInfo, major);
    OFFSET(InterfaceInfo, minor);
}

void printExpressions()
{
    SIZE(IDimensionExpr);
    SIZE(IExprBuilder);
    SIZE(apiv::VDimensionExpr);
    PLACE(apiv::VDimensionExpr, isConstant);
    PLACE(apiv::VDimensionExpr, getConstantValue);
    PLACE(apiv::VDimensionExpr, isSizeTensor);
    SIZE(apiv::VExprBuilder);
    PLACE(apiv::VExprBuilder, constant);
    PLACE(apiv::VExprBuilder, operation);
    PLACE(apiv::VExprBuilder, declareSizeTensor);
}

void printInterfaces()
{
    SIZE(IVersionedInterface);
    PLACE(IVersionedInterface, getAPILanguage);
    PLACE(IVersionedInterface, getInterfaceInfo);
    SIZE(IPluginCapability);
    SIZE(IPluginV3);
    PLACE(IPluginV3, getCapabilityInterface);
    PLACE(IPluginV3, clone);
    SIZE(IPluginV3OneCore);
    PLACE(IPluginV3OneCore, getPluginName);
    PLACE(IPluginV3OneCore, getPluginVersion);
    PLACE(IPluginV3OneCore, getPluginNamespace);
    SIZE(IPluginV3OneBuild);
    PLACE(IPluginV3OneBuild, configurePlugin);
    PLACE(IPluginV3OneBuild, getOutputDataTypes);
    PLACE(IPluginV3OneBuild, getOutputShapes);
    PLACE(IPluginV3OneBuild, supportsFormatCombination);
    PLACE(IPluginV3OneBuild, getNbOutputs);
    PLACE(IPluginV3OneBuild, getWorkspaceSize);
    PLACE(IPluginV3OneBuild, getValidTactics);
    PLACE(IPluginV3OneBuild, getNbTactics);
    PLACE(IPluginV3OneBuild, getTimingCacheID);
    PLACE(IPluginV3OneBuild, getFormatCombinationLimit);
    PLACE(IPluginV3OneBuild, getMetadataString);
    SIZE(IPluginV3OneRuntime);
    PLACE(IPluginV3OneRuntime, setTactic);
    PLACE(IPluginV3OneRuntime, onShapeChange);
    PLACE(IPluginV3OneRuntime, enqueue);
    PLACE(IPluginV3OneRuntime, attachToContext);
    PLACE(IPluginV3OneRuntime, getFieldsToSerialize);
    SIZE(IPluginCreatorInterface);
    SIZE(IPluginCreatorV3One);
    PLACE(IPluginCreatorV3One, createPlugin);
    PLACE(IPluginCreatorV3One, getFieldNames);
    PLACE(IPluginCreatorV3One, getPluginName);
    PLACE(IPluginCreatorV3One, getPluginVersion);
    PLACE(IPluginCreatorV3One, getPluginNamespace);
}

// A pure function of another class is called without its object's table, so that the interface's own answer is told.
template <typename Interface>
void printInfo(const char* name)
{
    alignas(Interface) unsigned char memory[sizeof(Interface)]{};
    const InterfaceInfo info = reinterpret_cast<Interface*>(memory)->Interface::getInterfaceInfo();
    std::printf("%s is %s %d.%d\n", name, info.kind, info.major, info.minor);
}

void printDefaults()
{
    printInfo<IPluginV3>("IPluginV3");
    printInfo<IPluginV3OneCore>("IPluginV3OneCore");
    printInfo<IPluginV3OneBuild>("IPluginV3OneBuild");
    printInfo<IPluginV3OneRuntime>("IPluginV3OneRuntime");
    printInfo<IPluginCreatorV3One>("IPluginCreatorV3One");
    alignas(IPluginV3OneBuild) unsigned char memory[sizeof(IPluginV3OneBuild)]{};
    auto* build = reinterpret_cast<IPluginV3OneBuild*>(memory);
    VALUE(build->IPluginV3OneBuild::getAPILanguage());
    VALUE(build->IPluginV3OneBuild::getNbTactics());
    VALUE(build->IPluginV3OneBuild::getFormatCombinationLimit());
    VALUE(build->IPluginV3OneBuild::getTimingCacheID() == nullptr);
    VALUE(build->IPluginV3OneBuild::getMetadataString() == nullptr);
    VALUE(reinterpret_cast<IPluginV3OneRuntime*>(memory)->IPluginV3OneRuntime::setTactic(1));
}

#ifdef NVIDIA_HEADERS
// What plugins/tensorrt/release.cpp says of this release.
void printRelease()
{
    VALUE(NV_TENSORRT_MAJOR);
    bool (IPluginRegistry::*registerCreator)(IPluginCreatorInterface&, const char* const) noexcept =
        &IPluginRegistry::registerCreator;
    std::printf(
        "release places %ld %ld %ld\n", placeOf(&ILogger::log), placeOf(&ILoggerFinder::findLogger),
        placeOf(registerCreator));
}
#endif

}  // namespace

int main()
{
    printValues();
    printStructures();
    printExpressions();
    printInterfaces();
    printDefaults();
#ifdef NVIDIA_HEADERS
    printRelease();
#endif
    return 0;
}
