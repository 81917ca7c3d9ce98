import EngineProtocol
import Scheduling

/// Rows that leave the engine: hidden states and logits of a generation, and the vectors of inputs that are embedded.
extension EngineLoop {
    /// Says the new rows of all generations that want theirs.
    func handOverRows() {
        var firstRow = 0
        for slice in plan.slices {
            defer { firstRow += slice.count }
            let newRows = firstRow + slice.givenRows..<firstRow + slice.count
            guard let kind = choices[slice.slot]?.tensors, !newRows.isEmpty,
                let tensor = tensor(kind, rows: newRows)
            else { continue }
            choices[slice.slot]?.nextRow = slice.positions.upperBound
            let chunk = TensorChunk(
                input: slice.choice, kind: kind, firstRow: UInt32(clamping: slice.firstPosition + slice.givenRows),
                tensor: tensor)
            events.append((slice.call, .tensor(chunk)))
        }
    }

    /// Nil if the sequence was cancelled between two layers.
    private func tensor(_ kind: TensorRequest.Kind, rows: Range<Int>) -> Tensor? {
        var values: [Float] = []
        var columns = 0
        for row in rows {
            guard let row = kind == .logits ? compute.logits(row: row) : compute.hiddenState(row: row) else {
                return nil
            }
            columns = row.count
            if values.isEmpty { values.reserveCapacity(rows.count * columns) }
            values.append(contentsOf: row)
        }
        return Tensor(rows: UInt32(clamping: rows.count), columns: UInt32(clamping: columns), values: values)
    }

    /// Ends a choice of which only the prompt was wanted.
    func endPrompt(_ slice: StepPlan.Slice, firstRow: Int, at now: UInt64) {
        guard let choice = choices[slice.slot], choice.endsWithPrompt(at: slice.positions.upperBound),
            calls[slice.call] != nil, compute.hiddenState(row: firstRow + slice.count - 1) != nil
        else { return }
        // Prefill ends here, as it does where a first token is chosen.
        if calls[slice.call]?.progress.firstTokenAt == nil { calls[slice.call]?.progress.firstTokenAt = now }
        endChoice(slice.choice, reason: .length, slot: slice.slot, call: slice.call)
    }

    /// Adds the rows of a slice to its input's vector, and ends the call with the last vector.
    func embed(_ slice: StepPlan.Slice, firstRow: Int, _ embedding: RunningEmbedding) {
        let input = Int(slice.choice)
        let prompt = embedding.inputs[input]
        for (offset, position) in slice.positions.enumerated() where embedding.uses(position: position, of: prompt) {
            guard let row = compute.hiddenState(row: firstRow + offset) else { return }
            embedding.add(UnsafeBufferPointer(row), input: input)
        }
        guard slice.positions.upperBound == prompt.tokens.count else { return }
        endedSlots.append(slice.slot)
        embedding.finish(input: input)
        calls[slice.call]?.choicesLeft -= 1
        guard calls[slice.call]?.choicesLeft == 0 else { return }
        guard embedding.isFinite else { return fail(slice.call, message: "the model's hidden states are not finite") }
        end(slice.call, with: .result(embedding.result))
    }
}

/// Inputs that are being embedded, each by its own sequence.
///
/// It belongs to the engine's thread.
final class RunningEmbedding {
    private let embedding: PreparedEmbedding
    /// Of the inputs that are computed now: the sum of the rows that count, in the order of their positions, so that it
    /// has the same bits in any chunks.
    private var sums: [Int: [Double]] = [:]
    private var vectors: [Float]

    init(_ embedding: PreparedEmbedding) {
        self.embedding = embedding
        vectors = Array(repeating: 0, count: embedding.inputs.count * embedding.width)
    }

    var inputs: [Prompt] { embedding.inputs }

    /// Whether a position's hidden state is part of the vector.
    func uses(position: Int, of prompt: Prompt) -> Bool {
        switch embedding.pooling {
        case .last: position == prompt.tokens.count - 1
        case .mean: true
        case .first: position == 0
        }
    }

    func add(_ row: UnsafeBufferPointer<Float>, input: Int) {
        var sum = sums.removeValue(forKey: input) ?? Array(repeating: 0, count: embedding.width)
        for (column, value) in row.enumerated() { sum[column] += Double(value) }
        sums[input] = sum
    }

    /// The input's positions are computed from the first one on again.
    func restart(input: Int) { sums[input] = nil }

    func finish(input: Int) {
        guard let sum = sums.removeValue(forKey: input) else { return }
        let rows = embedding.pooling == .mean ? Double(inputs[input].tokens.count) : 1
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let divisor = embedding.normalizes && length > 0 ? length : rows
        for (column, value) in sum.enumerated() { vectors[input * embedding.width + column] = Float(value / divisor) }
    }

    var isFinite: Bool { vectors.allSatisfy(\.isFinite) }

    var result: EngineResult {
        .embedded(
            Tensor(
                rows: UInt32(clamping: inputs.count), columns: UInt32(clamping: embedding.width), values: vectors),
            promptTokens: UInt32(clamping: embedding.promptTokens))
    }
}

extension RunningChoice {
    /// Where nothing else tells whether a row was computed, the prompt's last one has to.
    func wantsHiddenState(at position: Int, of slice: StepPlan.Slice) -> Bool {
        tensors == .hiddenStates && position >= slice.firstPosition + slice.givenRows
            || endsWithPrompt(at: position + 1)
    }
}

extension StepPlan.Slice {
    var positions: Range<Int> { firstPosition..<firstPosition + count }
}
