# YOLACT_TENSORRT_HEADERS: the folder of NvInferRuntime.h, empty where there is none.
set(TENSORRT_INCLUDE_DIR "" CACHE PATH "Folder of TensorRT's headers, version 10.0 or later; else the system's")
option(YOLACT_FETCH_TENSORRT_HEADERS "Fetch TensorRT's headers where none are found; needs git and a network" OFF)
set(YOLACT_TENSORRT_TAG "v10.3.0" CACHE STRING "Release of github.com/NVIDIA/TensorRT whose headers are fetched")
set(YOLACT_TENSORRT_REPOSITORY "https://github.com/NVIDIA/TensorRT.git" CACHE STRING "Where they are fetched from")

if(TENSORRT_INCLUDE_DIR AND NOT EXISTS ${TENSORRT_INCLUDE_DIR}/NvInferRuntime.h)
    message(FATAL_ERROR
        "TENSORRT_INCLUDE_DIR=${TENSORRT_INCLUDE_DIR} holds no NvInferRuntime.h; give the folder that does, "
        "or leave it out")
endif()
find_path(YOLACT_TENSORRT_HEADERS NvInferRuntime.h HINTS ${TENSORRT_INCLUDE_DIR} NO_CACHE)

if(NOT YOLACT_TENSORRT_HEADERS AND YOLACT_FETCH_TENSORRT_HEADERS)
    include(FetchContent)
    # Only include/ is wanted, neither the submodules nor a build.
    FetchContent_Declare(tensorrt
        GIT_REPOSITORY ${YOLACT_TENSORRT_REPOSITORY}
        GIT_TAG ${YOLACT_TENSORRT_TAG}
        GIT_SHALLOW TRUE
        GIT_SUBMODULES ""
        SOURCE_SUBDIR include)
    FetchContent_MakeAvailable(tensorrt)
    set(YOLACT_TENSORRT_HEADERS ${tensorrt_SOURCE_DIR}/include)
endif()

if(YOLACT_TENSORRT_HEADERS)
    message(STATUS "TensorRT headers: ${YOLACT_TENSORRT_HEADERS}")
else()
    set(YOLACT_TENSORRT_HEADERS "")
    message(STATUS "TensorRT headers: none, so only libyolact_kernels.so is built; give TENSORRT_INCLUDE_DIR or "
        "YOLACT_FETCH_TENSORRT_HEADERS=ON for the plugins")
endif()
