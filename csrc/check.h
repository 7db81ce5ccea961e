// Assertions of the debug build (-DUNROLLED_DEBUG). They repeat the checks that Python does before it passes an
// address. With -fsanitize=address they also check the size of every array. Other builds contain no assertions.
#pragma once
#include "unrolled.h"

#if !defined(UNROLLED_DEBUG)
#define CHECK(call) ((void)0)
#else
#include <stdio.h>
#include <stdlib.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif
#define CHECK(call) check(call)
#define EXPECT(condition) ((condition) ? (void)0 : unexpected(#condition, __FILE__, __LINE__))

[[noreturn]] static void unexpected(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: expected %s\n", file, line, condition);
    abort();
}

// Return whether p points to n elements that may be read and written.
template <class T> static bool array(const T *p, int64_t n)
{
    if (n == 0) return true;
    if (n < 0 || !p || (uintptr_t)p % alignof(T)) return false;
#if defined(__SANITIZE_ADDRESS__)
    return !__asan_region_is_poisoned((void *)p, (size_t)n * sizeof(T));
#else
    return true;
#endif
}

static int64_t gates_of(int64_t cell) { return cell < UNROLLED_GRU_SIMPLE ? 1 : cell - UNROLLED_GRU_SIMPLE + 2; }

// Check the arguments. Return N, the number of rows of all steps.
static int64_t check(const unrolled_sequences &of)
{
    EXPECT(of.cell >= 0 && of.cell <= UNROLLED_LSTM);
    EXPECT(of.steps >= 0 && of.batch > 0 && of.units > 0 && of.split >= 0 && of.split <= UNROLLED_SPLIT_UNITS);
    EXPECT(of.counts ? array(of.counts, of.steps) : true);
    int64_t N = 0;
    for (int64_t t = 0; t < of.steps; t++) {
        const int64_t rows = of.counts ? of.counts[t] : of.batch;
        EXPECT(rows > 0 && rows <= (t && of.counts ? of.counts[t - 1] : of.batch));
        N += rows;
    }
    EXPECT(of.ld_W >= of.units);
    EXPECT(array(of.W_a, (gates_of(of.cell) * of.units - 1) * of.ld_W + of.units));
    for (const float *taken : of.taken) EXPECT(!taken || array(taken, N * of.units));
    EXPECT(of.zoneout >= 0.0f && of.zoneout < 1.0f);
    return N;
}

static void check(const unrolled_forward &f)
{
    const int64_t N = check(f.of), row = gates_of(f.of.cell) * f.of.units, rows = f.train ? N : f.of.batch;
    EXPECT(array(f.b, row) && array(f.gates, N * row) && array(f.a, N * f.of.units));
    EXPECT(array(f.state[0], f.of.batch * f.of.units));
    if (f.of.cell == UNROLLED_LSTM) EXPECT(array(f.state[1], f.of.batch * f.of.units));
    if (f.of.cell == UNROLLED_LSTM && f.train) EXPECT(array(f.c, N * f.of.units));
    if (f.of.cell == UNROLLED_GRU) EXPECT(array(f.relevant, rows * f.of.units));
    EXPECT(array(f.work, unrolled_work(f.of.cell, f.of.batch, f.of.units, f.of.threads)));
}

static void check(const unrolled_backward &f)
{
    const int64_t N = check(f.of), row = gates_of(f.of.cell) * f.of.units;
    const bool lstm = f.of.cell == UNROLLED_LSTM;
    EXPECT(array(f.gates, N * row) && array(f.a, N * f.of.units) && (!lstm || array(f.c, N * f.of.units)));
    for (int i = 0; i < 1 + lstm; i++)
        EXPECT(array(f.state[i], f.of.batch * f.of.units) && array(f.d_state[i], f.of.batch * f.of.units));
    EXPECT(array(f.d_a, N * f.of.units) && array(f.d_gates, N * row) && array(f.d_b, row));
    EXPECT(f.inputs >= 0 && array(f.x, N * f.inputs) && array(f.stacked, N * (f.of.units + f.inputs)));
    EXPECT(array(f.work, unrolled_work(f.of.cell, f.of.batch, f.of.units, f.of.threads)));
}

static void check(const unrolled_entropy &f)
{
    EXPECT(f.rows >= 0 && f.outputs > 0 && array(f.z, f.rows * f.outputs) && array(f.b, f.outputs));
    EXPECT(array(f.y, f.rows) && array(f.nats, f.rows) && array(f.d_b, f.outputs));
    EXPECT(array(f.work, (f.threads < 1 ? 1 : f.threads) * f.outputs));
    for (int64_t r = 0; r < f.rows; r++) EXPECT(f.y[r] >= 0 && f.y[r] < f.outputs);
}

static void check(const unrolled_layer &f)
{
    EXPECT(f.cell >= 0 && f.cell <= UNROLLED_LSTM && f.rows >= 0 && f.units > 0 && f.inputs > 0);
    EXPECT(f.bits == 8 || f.bits == 32);
    const int64_t second = f.cell == UNROLLED_GRU, lanes[2] = {(gates_of(f.cell) - second) * f.units, f.units};
    for (int64_t i = 0; i <= second; i++) {
        EXPECT(array((const char *)f.W_a[i], unrolled_packed(lanes[i], f.units, f.bits)));
        EXPECT(f.W_x[i] ? array((const char *)f.W_x[i], unrolled_packed(lanes[i], f.inputs, f.bits)) : !!f.table);
    }
    const int64_t row = gates_of(f.cell) * f.units;
    EXPECT(array(f.b, row) && (f.table ? array(f.ids, f.rows) : array(f.x, f.rows * f.inputs)));
    EXPECT(!f.table || array(f.table, f.lines * (f.W_x[0] ? f.inputs : row)));
    for (int i = 0; i < 1 + (f.cell == UNROLLED_LSTM); i++) EXPECT(array(f.state[i], f.rows * f.units));
    EXPECT(f.zoneout >= 0.0f && f.zoneout < 1.0f);
}

static void check(const unrolled_steps &f)
{
    EXPECT(f.count > 0 && array(f.layers, f.count) && f.threads >= 0);
    int64_t widest = 0;
    for (int64_t i = 0; i < f.count; i++) {
        const unrolled_layer &layer = f.layers[i];
        check(layer);
        widest = layer.inputs > widest ? layer.inputs : widest;
        EXPECT(layer.rows == f.layers[0].rows && layer.units == f.layers[0].units);
    }
    const int64_t rows = f.layers[0].rows, floats = unrolled_step_work(rows, f.layers[0].units, widest, f.threads);
    for (int64_t i = 0; i < f.count; i++) EXPECT(array(f.layers[i].work, floats));
    if (!f.head) return;
    const unrolled_head &head = *f.head;
    EXPECT(array(&head, 1) && head.rows == rows && head.inputs == f.layers[0].units && head.outputs > 0);
    EXPECT(head.k >= 0 && head.k <= head.outputs && array(head.work, floats));
    EXPECT(array((const char *)head.W, unrolled_packed(head.outputs, head.inputs, head.bits)));
    EXPECT(array(head.b, head.outputs) && array(head.x, rows * head.inputs) && array(head.y, rows * head.outputs));
    EXPECT(array(head.best, rows * head.k) && array(head.ids, rows * head.k));
}
#endif
