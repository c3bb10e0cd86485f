// Reading a plugin's attributes and writing them into a plan.
#pragma once

#include <cstdint>
#include <vector>

#include "tensorrt/abi/plugin.h"

namespace yolact {

// One attribute of an op and where its value is kept; exactly one of the two addresses is set.
struct Attribute {
    Attribute(const char* name, float& value) : name(name), real(&value) {}
    Attribute(const char* name, int32_t& value) : name(name), integer(&value) {}

    nvinfer1::PluginFieldType type() const;
    void* value() const;

    const char* name;
    float* real = nullptr;
    int32_t* integer = nullptr;
};

using Attributes = std::vector<Attribute>;

// Takes each attribute's value from the fields, of which others are ignored. False, having said why, where one is
// missing or is not one number of its type.
bool readAttributes(const char* op, const Attributes& attributes, const nvinfer1::PluginFieldCollection* fields);

enum class FieldData { kNone, kValues };

// Fields that name the attributes and may point to their values, and the collection that points to the fields: not to
// be copied or moved.
class FieldList {
public:
    FieldList(const Attributes& attributes, FieldData data);
    FieldList(const FieldList&) = delete;
    FieldList& operator=(const FieldList&) = delete;

    const nvinfer1::PluginFieldCollection* collection() const { return &collection_; }

private:
    std::vector<nvinfer1::PluginField> fields_;
    nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace yolact
