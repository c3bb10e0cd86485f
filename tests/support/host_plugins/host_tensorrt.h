// The objects that TensorRT hands to a plugin: a logger, and expressions that stand for sizes.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tensorrt/abi/plugin.h"

namespace host_plugins {

inline std::string messages;      // what plugins have logged
inline int32_t version = 100300;  // of the release that is played

inline void keep(int32_t severity, const char* message)
{
    messages += (severity == 1 ? "" : "not an error: ") + std::string(message) + "\n";
}

// TensorRT's ILogger and ILoggerFinder, as they were before release 11 and as they are since.
namespace ten {

struct Logger {
    virtual void log(int32_t severity, const char* message) noexcept { keep(severity, message); }
    virtual ~Logger() = default;
};

struct LoggerFinder {
    virtual Logger* findLogger()
    {
        static Logger logger;
        return &logger;
    }
    virtual ~LoggerFinder() = default;
};

}  // namespace ten

namespace eleven {

struct Logger : nvinfer1::IVersionedInterface {
    nvinfer1::InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILogger", 1, 0}; }
    virtual void log(int32_t severity, const char* message) noexcept { keep(severity, message); }
};

struct LoggerFinder : nvinfer1::IVersionedInterface {
    nvinfer1::InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILoggerFinder", 1, 0}; }
    virtual Logger* findLogger()
    {
        static Logger logger;
        return &logger;
    }
};

}  // namespace eleven

inline void* loggerFinder()
{
    static ten::LoggerFinder of_ten;
    static eleven::LoggerFinder of_eleven;
    return version / 10000 == 10 ? static_cast<void*>(&of_ten) : &of_eleven;
}

struct Expression final : nvinfer1::IDimensionExpr {
    struct Value final : nvinfer1::apiv::VDimensionExpr {
        explicit Value(int64_t value) : value(value) {}
        bool isConstant() const override { return value >= 0; }
        int64_t getConstantValue() const override { return isConstant() ? value : (std::abort(), 0); }
        bool isSizeTensor() const override { return false; }

        int64_t value;
    };

    explicit Expression(int64_t value) : value(value) { mImpl = &this->value; }

    Value value;
};

struct ExpressionBuilder final : nvinfer1::IExprBuilder {
    struct Builder final : nvinfer1::apiv::VExprBuilder {
        const nvinfer1::IDimensionExpr* constant(int64_t value) override
        {
            made.push_back(std::make_unique<Expression>(value));
            return made.back().get();
        }
        const nvinfer1::IDimensionExpr* operation(
            nvinfer1::DimensionOperation, const nvinfer1::IDimensionExpr&, const nvinfer1::IDimensionExpr&) override
        {
            return nullptr;
        }
        const nvinfer1::IDimensionExpr* declareSizeTensor(
            int32_t, const nvinfer1::IDimensionExpr&, const nvinfer1::IDimensionExpr&) override
        {
            return nullptr;
        }

        std::vector<std::unique_ptr<Expression>> made;
    };

    ExpressionBuilder() { mImpl = &builder; }

    Builder builder;
};

}  // namespace host_plugins
