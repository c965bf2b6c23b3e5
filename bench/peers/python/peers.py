"""The peers that come as Python packages, one process for all of them.

The first line of standard input is a JSON object: directory, shape, sequence, threads, ids,
peers, load. The process makes what model files are missing, loads the peers if load is true, and
answers {"ready": {peer: version}}. Every further line is the name of a peer: it runs one
inference and answers {"seconds": t}, timed around the runtime's own call. The end of the input
ends the process. A failure is answered {"error": text}.
"""

import json
import os
import shutil
import sys
import tempfile
import time
import traceback

import numpy as np

# Libraries write what they like to standard output; answers have a descriptor of their own.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
VOCABULARY = 30522


def answer(**fields):
    ANSWERS.write(json.dumps(fields) + "\n")
    ANSWERS.flush()


class Encoder:
    """An ONNX graph of BERT's embeddings and encoder with random weights, as an exporter would
    write it.
    """

    def __init__(self, shape, sequence, seed=0):
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.layers, self.hidden, self.heads, self.inner = shape
        self.sequence = sequence
        self.random = np.random.default_rng(seed)
        self.constants, self.nodes = [], []

    def constant(self, value, kind=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(self.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def weights(self, *shape):
        return self.constant(self.random.standard_normal(shape, np.float32) * np.float32(0.02))

    def op(self, kind, *inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(
            self.helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        )
        return name

    def linear(self, x, inputs, outputs):
        return self.op(
            "Add", self.op("MatMul", x, self.weights(inputs, outputs)), self.weights(outputs)
        )

    def norm(self, x):
        ones, zeros = np.ones(self.hidden), np.zeros(self.hidden)
        return self.op(
            "LayerNormalization",
            x,
            self.constant(ones),
            self.constant(zeros),
            axis=-1,
            epsilon=1e-12,
        )

    def split_heads(self, x, order):
        shape = self.constant([0, 0, self.heads, self.hidden // self.heads], np.int64)
        return self.op("Transpose", self.op("Reshape", x, shape), perm=order)

    def attention(self, x):
        q = self.split_heads(self.linear(x, self.hidden, self.hidden), [0, 2, 1, 3])
        k = self.split_heads(self.linear(x, self.hidden, self.hidden), [0, 2, 3, 1])
        v = self.split_heads(self.linear(x, self.hidden, self.hidden), [0, 2, 1, 3])
        root = self.constant((self.hidden // self.heads) ** 0.5)
        scores = self.op("Div", self.op("MatMul", q, k), root)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        joined = self.op(
            "Reshape",
            self.op("Transpose", mixed, perm=[0, 2, 1, 3]),
            self.constant([0, 0, self.hidden], np.int64),
        )
        return self.linear(joined, self.hidden, self.hidden)

    def gelu(self, x):
        phi = self.op(
            "Add", self.op("Erf", self.op("Div", x, self.constant(2**0.5))), self.constant(1)
        )
        return self.op("Mul", self.op("Mul", x, phi), self.constant(0.5))

    def save(self, path):
        import onnx

        words = self.op("Gather", self.weights(VOCABULARY, self.hidden), "input_ids")
        x = self.norm(self.op("Add", words, self.weights(1, self.sequence, self.hidden)))
        for _ in range(self.layers):
            x = self.norm(self.op("Add", x, self.attention(x)))
            inner = self.gelu(self.linear(x, self.hidden, self.inner))
            x = self.norm(self.op("Add", x, self.linear(inner, self.inner, self.hidden)))
        self.op("Identity", x)
        h, types = self.helper, onnx.TensorProto
        inputs = [h.make_tensor_value_info("input_ids", types.INT64, [1, self.sequence])]
        outputs = [
            h.make_tensor_value_info(
                self.nodes[-1].name, types.FLOAT, [1, self.sequence, self.hidden]
            )
        ]
        graph = h.make_graph(self.nodes, "encoder", inputs, outputs, self.constants)
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, path)


def dynamic_int8(source, target):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
    )


def static_int8(source, target, sequence):
    import nncf
    import openvino

    random = np.random.default_rng(2)
    samples = [random.integers(0, VOCABULARY, (1, sequence), np.int64) for _ in range(4)]
    model = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset(samples, lambda ids: {"input_ids": ids}),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(samples),
    )
    openvino.save_model(model, target)


def make(directory, request):
    """The model files that are not there yet, each complete before it gets its name."""
    shape, sequence = request["shape"], request["sequence"]

    def once(name, companions, write):
        if os.path.exists(os.path.join(directory, name)):
            return
        print(f"making {name}", file=sys.stderr)
        scratch = tempfile.mkdtemp(dir=directory)
        try:
            write(os.path.join(scratch, name))
            for file in [*companions, name]:
                os.replace(os.path.join(scratch, file), os.path.join(directory, file))
        finally:
            shutil.rmtree(scratch)

    os.makedirs(directory, exist_ok=True)
    float32 = os.path.join(directory, "fp32.onnx")
    once("fp32.onnx", [], lambda path: Encoder(shape, sequence).save(path))
    if "onnxruntime-int8" in request["peers"]:
        once("int8.onnx", [], lambda path: dynamic_int8(float32, path))
    if "openvino-int8" in request["peers"]:
        once("int8.xml", ["int8.bin"], lambda path: static_int8(float32, path, sequence))


def onnxruntime_peer(path, ids, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its threads spin while it runs, as by default, but not into the turn of the next peer.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return f"ONNX Runtime {onnxruntime.__version__}", lambda: session.run(None, {"input_ids": ids})


def openvino_peer(path, ids, threads, precision=None):
    import openvino

    wanted = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if precision:
        wanted["INFERENCE_PRECISION_HINT"] = precision
    compiled = openvino.Core().compile_model(path, "CPU", wanted)
    got = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    request = compiled.create_infer_request()
    return f"OpenVINO {openvino.__version__.split('-')[0]}, floats as {got}", lambda: request.infer(
        {"input_ids": ids}
    )


def load(name, directory, ids, threads):
    if name.startswith("onnxruntime"):
        file = {"onnxruntime-fp32": "fp32.onnx", "onnxruntime-int8": "int8.onnx"}[name]
        return onnxruntime_peer(os.path.join(directory, file), ids, threads)
    file, precision = {"openvino-bf16": ("fp32.onnx", "bf16"), "openvino-int8": ("int8.xml", None)}[
        name
    ]
    return openvino_peer(os.path.join(directory, file), ids, threads, precision)


def main():
    request = json.loads(sys.stdin.readline())
    ids = np.array([request["ids"]], np.int64)
    directory = request["directory"]
    make(directory, request)
    peers, versions = {}, {}
    for name in request["peers"] if request["load"] else []:
        versions[name], peers[name] = load(name, directory, ids, request["threads"])
    answer(ready=versions)
    for line in sys.stdin:
        infer = peers[line.strip()]
        start, busy = time.perf_counter(), time.process_time()
        infer()
        answer(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - busy)


try:
    main()
except Exception as error:
    traceback.print_exc()
    answer(error=f"{type(error).__name__}: {error}")
    sys.exit(1)
