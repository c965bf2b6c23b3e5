// What every verilated top offers to Rust: construction, evaluation and a table of its ports.
//
// build/main.rs writes one file for each top, of FQBERT_PORTS, one FQBERT_PORT for each port and
// FQBERT_END.
#pragma once

#include <cstddef>
#include <cstdint>

#include <memory>

#include "verilated.h"
#if defined(FQBERT_TRACE_FST)
#include "verilated_fst_c.h"
using FqbertTrace = VerilatedFstC;
#elif defined(FQBERT_TRACE_VCD)
#include "verilated_vcd_c.h"
using FqbertTrace = VerilatedVcdC;
#endif

// `data` points at 1, 2, 4 or 8 bytes, the smallest that holds `bits`, or above 64 bits at 32-bit
// words, lowest first.
struct FqbertPort {
    const char *name;
    void *data;
    uint32_t bits;
    uint32_t output;
};

// A model with a context of its own, so that models live in any thread.
template <class Top> struct FqbertModel {
    VerilatedContext context;
    Top top;
#if defined(FQBERT_TRACE_FST) || defined(FQBERT_TRACE_VCD)
    std::unique_ptr<FqbertTrace> file;

    // Waveforms of everything from now on; false if the file cannot be written.
    bool trace(const char *path) {
        file = std::make_unique<FqbertTrace>();
        top.trace(file.get(), 99);
        file->open(path);
        return file->isOpen();
    }
    void dump(uint64_t time) {
        if (file)
            file->dump(time);
    }
    ~FqbertModel() {
        if (file)
            file->close();
    }
#else
    bool trace(const char *) { return false; }
    void dump(uint64_t) {}
#endif

    // Registers without a reset start at random values drawn from the seed.
    static VerilatedContext *prepare(VerilatedContext *context, uint32_t seed) {
        context->randReset(2);
        context->randSeed(static_cast<int>(seed & 0x7fffffff));
#if defined(FQBERT_TRACE_FST) || defined(FQBERT_TRACE_VCD)
        context->traceEverOn(true);
#endif
        return context;
    }
    explicit FqbertModel(uint32_t seed) : top(prepare(&context, seed), "top") {}
};

#define FQBERT_PORTS(NAME)                                                                         \
    using Model = FqbertModel<V##NAME>;                                                            \
    extern "C" void *fqbert_##NAME##_new(uint32_t seed) { return new Model(seed); }                \
    extern "C" void fqbert_##NAME##_delete(void *model) {                                          \
        static_cast<Model *>(model)->top.final();                                                  \
        delete static_cast<Model *>(model);                                                        \
    }                                                                                              \
    extern "C" void fqbert_##NAME##_eval(void *model) { static_cast<Model *>(model)->top.eval(); } \
    extern "C" void fqbert_##NAME##_assertions(void *model, bool on) {                             \
        static_cast<Model *>(model)->context.assertOn(on);                                         \
    }                                                                                              \
    extern "C" bool fqbert_##NAME##_trace(void *model, const char *path) {                         \
        return static_cast<Model *>(model)->trace(path);                                           \
    }                                                                                              \
    extern "C" void fqbert_##NAME##_dump(void *model, uint64_t time) {                             \
        static_cast<Model *>(model)->dump(time);                                                   \
    }                                                                                              \
    extern "C" size_t fqbert_##NAME##_ports(void *model, FqbertPort *ports, size_t room) {         \
        auto &top = static_cast<Model *>(model)->top;                                              \
        const FqbertPort all[] = {
#define FQBERT_PORT(PORT, BITS, OUTPUT) {#PORT, &top.PORT, BITS, OUTPUT},

#define FQBERT_END(NAME)                                                                           \
    }                                                                                              \
    ;                                                                                              \
    const size_t count = sizeof all / sizeof all[0];                                               \
    for (size_t i = 0; i < count && i < room; ++i)                                                 \
        ports[i] = all[i];                                                                         \
    return count;                                                                                  \
    }
