import Sampling
import Scheduling
import Tensors

/// Choosing the next tokens of a step's sequences.
extension EngineLoop {
    /// Chooses the tokens of the sequences that need one each, on all threads: what a large vocabulary costs times many
    /// sequences would keep the others waiting.
    ///
    /// A choice depends on its own row and sampler alone, so it does not matter which thread makes it.
    func chooseAhead() {
        ahead.begin()
        var firstRow = 0
        for slice in plan.slices {
            defer { firstRow += slice.count }
            guard slice.choosesToken, slice.draftTokens == 0, let choice = choices[slice.slot], choice.trail == nil,
                let logits = compute.logits(row: firstRow + slice.count - 1)
            else { continue }
            ahead.add(slot: slice.slot, logits: logits)
        }
        // A single one gains nothing.
        if ahead.count > 1 { ahead.choose(for: &choices, pool: compute.pool) }
    }
}

/// Tokens that are chosen side by side.
struct TokensAhead {
    private typealias Row = (slot: Int, logits: UnsafeMutableBufferPointer<Float>)

    private var rows: [Row] = []
    private var tokens: [Result<Int32, SamplingError>?]

    init(slots: Int) { tokens = Array(repeating: nil, count: slots) }

    var count: Int { rows.count }

    mutating func begin() {
        for row in rows { tokens[row.slot] = nil }
        rows.removeAll(keepingCapacity: true)
    }

    mutating func add(slot: Int, logits: UnsafeMutableBufferPointer<Float>) { rows.append((slot, logits)) }

    mutating func choose(for choices: inout [RunningChoice?], pool: ComputePool) {
        precondition(choices.count == tokens.count, "\(choices.count) choices for \(tokens.count) slots")
        choices.withUnsafeMutableBufferPointer { choices in
            tokens.withUnsafeMutableBufferPointer { tokens in
                let job = Job(rows: rows, choices: choices, tokens: tokens)
                pool.run(parts: job.rows.count) { job.choose(part: $0) }
            }
        }
    }

    /// The token of a slot, once; nil if none was chosen.
    mutating func take(slot: Int) throws(SamplingError) -> Int32? {
        guard let token = tokens[slot] else { return nil }
        tokens[slot] = nil
        return try token.get()
    }

    /// Each slot occurs in one row at most, so no two threads touch the same one.
    private struct Job: @unchecked Sendable {
        let rows: [Row]
        let choices: UnsafeMutableBufferPointer<RunningChoice?>
        let tokens: UnsafeMutableBufferPointer<Result<Int32, SamplingError>?>

        func choose(part: Int) {
            let (slot, logits) = rows[part]
            guard let position = choices[slot]?.generatedTokens, let choice = choices[slot]?.choice else { return }
            do throws(SamplingError) {
                // The sampler is changed in place: a copy would copy its counts at every token.
                let token = try choices[slot]?.sampler.sample(logits: logits, position: position, choice: Int(choice))
                tokens[slot] = token.map { .success($0) }
            } catch {
                tokens[slot] = .failure(error)
            }
        }
    }
}
