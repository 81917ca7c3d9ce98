import CRKLLM
import EngineProtocol
import Platform

/// Hidden states and logits.
extension RunningCall {
    func takeRows(_ results: UnsafeBufferPointer<apus_rkllm_result>) {
        for (index, result) in zip(elements.indices, results) where core.isOpen(call) {
            takeRows(mode == apus_rkllm_logits ? result.logits : result.hidden_states, element: index)
        }
    }

    private func takeRows(_ matrix: apus_rkllm_matrix, element index: Int) {
        guard let values = matrix.values, matrix.rows != 0, matrix.columns != 0 else { return }
        // Of a conversation's text nobody here knows the length, but the context has an end.
        let most = core.model.contextLength - elements[index].rows
        guard matrix.rows > 0, matrix.columns > 0, matrix.rows <= most, matrix.columns <= core.limits.columns else {
            return end(.failed(lie("\(matrix.rows) rows of \(matrix.columns) numbers")))
        }
        if mode == apus_rkllm_hidden_states {
            core.queue.withLock { $0.knownWidth = UInt32(matrix.columns) }
        }
        if firstTokenAt == nil { firstTokenAt = MonotonicClock.now() }
        let columns = Int(matrix.columns)
        let numbers = UnsafeBufferPointer(start: values, count: Int(matrix.rows) * columns)
        switch work.answer {
        case .generation(_, _, let tensors):
            if let kind = tensors?.kind { send(numbers, columns: columns, kind: kind, element: index) }
        case .embedding(let pooling, _): elements[index].vector.add(numbers, columns: columns, pooling: pooling)
        }
        elements[index].rows += Int(matrix.rows)
    }

    /// Sends rows within the call's credit, and waits for more of it; the runtime waits too.
    private func send(
        _ numbers: UnsafeBufferPointer<Float>, columns: Int, kind: TensorRequest.Kind, element index: Int
    ) {
        let rowBytes = columns * MemoryLayout<Float>.size
        var sent = 0
        while sent < numbers.count / columns {
            guard let credit = core.waitForCredit(of: call, deadline: work.deadline) else { return }
            guard credit > 0 else { return end(.failed(.deadlineExceeded)) }
            core.progress.beginStep(rows: 1, sequences: 1, calls: CollectionOfOne(call))
            let room = max(1, min(credit, core.limits.tensorBytesPerEvent) / rowBytes)
            let count = min(room, numbers.count / columns - sent)
            let part = Tensor(
                rows: UInt32(clamping: count), columns: UInt32(clamping: columns),
                values: Array(numbers[sent * columns..<(sent + count) * columns]))
            core.queue.withLock { $0.spendCredit(count * rowBytes) }
            let chunk = TensorChunk(
                input: UInt32(clamping: elements[index].choice), kind: kind,
                firstRow: UInt32(clamping: elements[index].rows + sent), tensor: part)
            core.say([.tensor(chunk)], of: call)
            sent += count
        }
    }
}
