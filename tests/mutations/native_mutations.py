"""Faults of the TensorRT plugins, of libyolact and of the service in C. Without what these need, such as TensorRT's
headers and libmicrohttpd, their tests are skipped and the mutations count as broken."""

from __future__ import annotations

from mutation import Mutation

_PLUGINS = ("test_plugins.py",)
_CAPI = ("test_capi.py",)
_PROGRAMS = ("test_capi_programs.py",)
_SERVICE = ("test_c_service.py",)
_LOAD = ("test_c_service_load.py",)
_END = ("test_c_service_end.py",)
_BRIDGE = ("test_capi_bridge.py",)
_STREAMS = ("test_capi_streams.py",)
_FUZZ = ("test_c_service_fuzz.py",)
_V2 = ("test_c_service_v2.py",)

NATIVE_MUTATIONS = (
    # plugins/tensorrt/
    Mutation(
        "attributes-are-not-checked",
        "!isPossible<Op>(op.params(Sizes::smallest(), YOLACT_FLOAT32))) {",
        "op.params(Sizes::smallest(), YOLACT_FLOAT32).batch < 0) {",
        _PLUGINS,
    ),
    Mutation("params-are-not-checked", "return isPossible<Op>(call.params);", "return true;", _PLUGINS),
    Mutation("clone-forgets-its-attributes", "new Plugin(op_); });", "new Plugin(Op()); });", _PLUGINS),
    Mutation("workspace-of-no-call", "? Op::workspace(&call.params) : 0;", "? 0 : 0;", _PLUGINS),
    Mutation("any-format-is-supported", "desc.format == TensorFormat::kLINEAR && matches", "matches", _PLUGINS),
    Mutation("half-tensors-are-refused", "case DataType::kHALF: return YOLACT_FLOAT16;", "", _PLUGINS),
    Mutation("profile-is-not-looked-at", "return inputs[i].max; });", "return inputs[i].desc.dims; });", _PLUGINS),
    # runtime/capi/
    Mutation("results-leak", "{ free(results); }", "{ (void)results; }", _PROGRAMS),
    Mutation(
        "parts-are-not-copied",
        "start = memcpy(*cursor, buffers->data[part], (size_t)buffers->size[part]);",
        "start = *cursor;",
        _PROGRAMS,
    ),
    Mutation("block-without-room-for-masks", "= aligned(buffers->count * sizeof(yolact_mask));", "= 0;", _PROGRAMS),
    Mutation("padding-of-rows-is-ignored", "(Py_ssize_t)image->stride,", "(Py_ssize_t)row,", _CAPI),
    Mutation(
        "closed-entry-stays-listed",
        "*link = entry->next; /* before any Python code runs, so that no other thread closes it too */\n"
        "        PyObject* done = PyObject_CallMethod(entry->session",
        "PyObject* done = PyObject_CallMethod(entry->session",
        ("test_capi_refusals.py",),
    ),
    Mutation("arrays-of-any-shape", "pixels->ndim == 3 &&", "", _BRIDGE),
    Mutation("arrays-of-any-type", 'strcmp(pixels->format, "B") == 0', "1", _BRIDGE),
    Mutation("masks-beyond-the-image", "(int64_t)region[0] + region[2] > image->height", "0", _BRIDGE),
    Mutation("results-of-fewer-images", "(size_t)PyList_Size(found) == count;", "count > 0;", _BRIDGE),
    Mutation("streams-leak", "        Py_DECREF(entry->stream);\n        free(entry);", "", _PROGRAMS),
    Mutation("streams-share-numbers", "{ return ++last_number; }", "{ return last_number + 1; }", _STREAMS),
    Mutation(
        "closed-stream-stays-listed",
        "*link = entry->next; /* before any Python code runs, so that no other thread closes it too */\n"
        "        PyObject* done = PyObject_CallMethod(entry->stream",
        "PyObject* done = PyObject_CallMethod(entry->stream",
        _STREAMS,
    ),
    Mutation(
        "submitted-pixels-are-borrowed", "pixels.copy() if pixels.base is not None else pixels", "pixels", _STREAMS
    ),
    Mutation("streams-grow", "if self._images.held >= self._capacity:", "if False:", _STREAMS),
    Mutation("a-batch-never-begins-by-itself", "if self._images.fill_a_batch:", "if False:", ("test_host_cuda.py",)),
    Mutation("half-batches-begin", "(self.fill_a_batch or self._begun == 0)", "True", _STREAMS),
    Mutation("a-detector-forgets-its-streams", "self._streams.add(stream)", "pass", _STREAMS),
    Mutation(
        "a-failed-image-stays-held",
        "            finally:\n                self._images.remove()",
        "            finally:\n                pass",
        _STREAMS,
    ),
    # examples/c_service/
    Mutation("a-hangup-ends-it-at-once", "while (number == SIGHUP);", "while (0);", _END),
    Mutation("endless-bodies-are-awaited", "strtoull(length, NULL, 10) / PATIENCE > most;", "0;", _SERVICE),
    Mutation("headers-are-read-too-far", "while (position + 9 <= size) {", "while (position + 1 <= size) {", _FUZZ),
    Mutation("nan-is-a-number", "if (isfinite(number))", "if (1)", _FUZZ),
    Mutation("any-byte-is-text", "else if (size == 0)", "else if (0)", _FUZZ),
    Mutation("clients-are-never-late", "if (one->deadline > time)", "if (one->deadline >= 0)", _LOAD),
    Mutation("waiting-connections-are-forgotten", "is_last_look || is_first_look ?", "0 ?", _END),
    Mutation("idle-connections-are-cut-at-once", "idle_while_draining = 1;", "idle_while_draining = 0;", _END),
    Mutation("queue-has-no-end", "if (is_stopping || before + count > settings->queue_size) {", "if (0) {", _LOAD),
    Mutation("batches-of-any-size", "while (count < max_batch && ready.count > 0)", "while (ready.count > 0)", _LOAD),
    Mutation("log-holds-answers-up", "poll(&log, 1, 0) == 1 && log.revents & POLLOUT", "1", _LOAD),
    Mutation("scans-are-not-counted", "count += data[i] == 0xff && data[i + 1] == 0xda;", ";", _SERVICE),
    Mutation("two-lengths-are-fine", "counts[LENGTHS] + has_coding > 1 || counts", "counts", _SERVICE),
    Mutation("elements-reach-beyond-the-body", "if (length > size)", "if (0)", _FUZZ),
    Mutation("json-is-as-deep-as-the-stack", "if (levels == 0)", "if (0)", _V2),
    Mutation("the-last-of-two-names-counts", "if (*seen >> i & 1) {", "if (0) {", _V2),
    Mutation("a-lying-size-is-believed", "image.binary_size != after : after > 0", "0 : 0", _V2),
    Mutation("rows-are-not-filled-up", "has_rows ? rows : 1", "has_rows ? done[image].found->count : 1", _V2),
    Mutation(
        "the-last-failure-is-told", "if (status != 200 || jobs[i].status == 200)", "if (jobs[i].status == 200)", _V2
    ),
    Mutation("runs-without-difference", "runs->count > 2 ? length - runs->earlier[0] : length", "length", _SERVICE),
)
