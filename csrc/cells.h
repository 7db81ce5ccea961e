// The cells: one step of W units of one row, forward and backward. kernels.cpp computes the products and loops over
// the steps.
//
// A cell has GATES gates that multiply a_prev, and SECOND (0 or 1) gates that multiply a result of the first gates.
//   forward(f, s, z)          z: in: W[left, x] + b of the first gates; out: the gates after sigmoid or tanh.
//   forward_second(f, s, z)   The same for the second gates. It runs after `forward` of all units.
//   backward(f, s, d, sum)    d: the gradient of a_t. Returns the part of the gradient of a_prev that does not pass
//                             through the products. Writes the gradients of the gates to f.d_gates and adds them to
//                             `sum`, the gradient of b.
//   backward_second(f, s, d, sum)   d: the gradient of the left operand of the second gates. Returns the value that
//                                   must be added to the result of `backward`.
#pragma once
#include "unrolled.h"
#include "vec.h"

// The position of W units of one row in the arrays, at one step. FULL: all W units exist, so no mask is needed. This
// is true except at the end of a row.
template <bool FULL> struct Spot {
    long units, at, row;          // n_a; the index of the first unit; the sequence
    long now;                     // the row in [N, ...]
    const float *a_prev, *c_prev; // [batch, n_a], the rows of the previous step
    long gates, apart;            // the position of the first gate in [N, row]; the distance between gates

    V gate(const float *x, long g) const { return read(x + gates + g * apart); }
    void to_gate(float *x, long g, V v) const { write(x + gates + g * apart, v); }
    V of(const float *x, long r) const { return read(x + r * units + at); }
    void to(float *x, long r, V v) const { write(x + r * units + at, v); }
    V read(const float *p) const
    {
        if constexpr (FULL) return load(p);
        return load(p, units - at);
    }
    void write(float *p, V v) const
    {
        if constexpr (FULL) store(p, v);
        else store(p, v, units - at);
    }
    bool full() const { return units - at >= W; }
    Spot<true> unmasked() const { return {units, at, row, now, a_prev, c_prev, gates, apart}; }
};

template <class Call, class S> INLINE void gradient(const Call &f, const S &s, long gate, V d, V *sum)
{
    s.to_gate(f.d_gates, gate, d);
    sum[gate] += d;
}

// Zoneout: whether it is used, and the fraction of the new value of state i.
template <class Call> INLINE bool zones(const Call &f) { return f.of.taken[0] || f.of.zoneout > 0.0f; }
template <class Call, class S> INLINE V taken(const Call &f, const S &s, int i)
{
    return f.of.taken[i] ? s.of(f.of.taken[i], s.now) : all(1.0f - f.of.zoneout);
}
// Mix the new and the old value. A fraction of 1 or 0 gives exactly one of them. old: [batch, n_a].
template <class Call, class S> INLINE V zoned(const Call &f, const S &s, int i, V now, const float *old)
{
    if (!zones(f)) return now;
    V share = taken(f, s, i);
    return share * now + (1.0f - share) * s.of(old, s.row);
}
// Return the gradient of the old value. d: in: the gradient of the mixed value; out: the gradient of the new value.
template <class Call, class S> INLINE V past(const Call &f, const S &s, int i, V &d)
{
    if (!zones(f)) return V{};
    V share = taken(f, s, i), whole = d;
    d = whole * share;
    return whole * (1.0f - share);
}

template <bool RELU> struct Rnn {
    static constexpr int GATES = 1, SECOND = 0;

    template <class S> static void forward(const unrolled_forward &f, const S &s, V *z)
    {
        if constexpr (RELU) z[0] = relu(z[0]);
        else z[0] = tanh(z[0]);
        s.to(f.a, s.now, zoned(f, s, 0, z[0], s.a_prev));
    }
    template <class S> static V backward(const unrolled_backward &f, const S &s, V d, V *sum)
    {
        V a = s.gate(f.gates, 0), kept = past(f, s, 0, d);
        if constexpr (RELU) d = a <= 0.0f ? V{} : d;
        else d = d * (1.0f - a * a);
        gradient(f, s, 0, d, sum);
        return kept;
    }
};

// For the GRUs, the fraction of zoneout is a factor of the update gate. `shared` applies this factor, to the gate or
// to the gradient that passes through it. `mixed` returns the new state.
template <class Call, class S> INLINE V shared(const Call &f, const S &s, V v)
{
    return zones(f) ? v * taken(f, s, 0) : v;
}
template <class S> INLINE V mixed(const unrolled_forward &f, const S &s, V update, V candidate)
{
    update = shared(f, s, update);
    return update * candidate + (1.0f - update) * s.of(s.a_prev, s.row);
}

struct GruSimple { // gates c, u
    static constexpr int GATES = 2, SECOND = 0;

    template <class S> static void forward(const unrolled_forward &f, const S &s, V *z)
    {
        z[0] = tanh(z[0]);
        z[1] = sigmoid(z[1]);
        s.to(f.a, s.now, mixed(f, s, z[1], z[0]));
    }
    template <class S> static V backward(const unrolled_backward &f, const S &s, V d, V *sum)
    {
        V candidate = s.gate(f.gates, 0), update = s.gate(f.gates, 1), whole = shared(f, s, d);
        gradient(f, s, 0, whole * update * (1.0f - candidate * candidate), sum);
        gradient(f, s, 1, whole * (candidate - s.of(s.a_prev, s.row)) * update * (1.0f - update), sum);
        return d - whole * update;
    }
};

struct Gru { // gates r, u; second c
    static constexpr int GATES = 2, SECOND = 1;

    template <class S> static void forward(const unrolled_forward &f, const S &s, V *z)
    {
        z[0] = sigmoid(z[0]);
        z[1] = sigmoid(z[1]);
        s.to(f.relevant, f.train ? s.now : s.row, z[0] * s.of(s.a_prev, s.row));
    }
    template <class S> static void forward_second(const unrolled_forward &f, const S &s, V *z)
    {
        V update = s.gate(f.gates, 1);
        z[0] = tanh(z[0]);
        s.to(f.a, s.now, mixed(f, s, update, z[0]));
    }
    template <class S> static V backward(const unrolled_backward &f, const S &s, V d, V *sum)
    {
        V update = s.gate(f.gates, 1), candidate = s.gate(f.gates, 2), whole = shared(f, s, d);
        V d_candidate = whole * update * (1.0f - candidate * candidate);
        gradient(f, s, 1, whole * (candidate - s.of(s.a_prev, s.row)) * update * (1.0f - update), sum);
        gradient(f, s, 2, d_candidate, sum);
        return d - whole * update;
    }
    template <class S> static V backward_second(const unrolled_backward &f, const S &s, V d, V *sum)
    {
        V relevance = s.gate(f.gates, 0);
        gradient(f, s, 0, d * s.of(s.a_prev, s.row) * relevance * (1.0f - relevance), sum);
        return d * relevance;
    }
};

struct Lstm { // gates u, f, c, o
    static constexpr int GATES = 4, SECOND = 0;

    template <class S> static void forward(const unrolled_forward &f, const S &s, V *z)
    {
        z[0] = sigmoid(z[0]);
        z[1] = sigmoid(z[1]);
        z[2] = tanh(z[2]);
        z[3] = sigmoid(z[3]);
        V c = z[0] * z[2] + z[1] * s.of(f.state[1], s.row);
        s.to(f.a, s.now, zoned(f, s, 0, z[3] * tanh(c), s.a_prev));
        c = zoned(f, s, 1, c, f.state[1]);
        s.to(f.state[1], s.row, c);
        if (f.train) s.to(f.c, s.now, c);
    }
    template <class S> static V backward(const unrolled_backward &f, const S &s, V d, V *sum)
    {
        V update = s.gate(f.gates, 0), forget = s.gate(f.gates, 1);
        V candidate = s.gate(f.gates, 2), output = s.gate(f.gates, 3);
        V d_c = s.of(f.d_state[1], s.row), kept = past(f, s, 0, d), c_kept = past(f, s, 1, d_c);
        // c before zoneout. With zoneout it is computed again; its tanh always is. This is faster than storing them.
        V c = zones(f) ? update * candidate + forget * s.of(s.c_prev, s.row) : s.of(f.c, s.now), tanh_c = tanh(c);
        d_c += d * output * (1.0f - tanh_c * tanh_c);
        gradient(f, s, 0, d_c * candidate * update * (1.0f - update), sum);
        gradient(f, s, 1, d_c * s.of(s.c_prev, s.row) * forget * (1.0f - forget), sum);
        gradient(f, s, 2, d_c * update * (1.0f - candidate * candidate), sum);
        gradient(f, s, 3, d * tanh_c * output * (1.0f - output), sum);
        s.to(f.d_state[1], s.row, d_c * forget + c_kept);
        return kept;
    }
};
