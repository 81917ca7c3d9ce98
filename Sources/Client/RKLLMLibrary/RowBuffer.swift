import EngineProtocol
import Glibc

/// The rows of one input, which a callback sees as one matrix.
final class RowBuffer {
    private let values: UnsafeMutablePointer<Float>
    private let rows: Int
    private let columns: Int
    private var filledRows = 0

    /// Nil if there is no memory for so many.
    init?(rows: Int, columns: Int) {
        let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
        // Zeroed pages cost nothing until they are written.
        guard !overflow, let memory = calloc(max(1, count), MemoryLayout<Float>.stride) else { return nil }
        values = memory.bindMemory(to: Float.self, capacity: max(1, count))
        self.rows = rows
        self.columns = columns
    }

    deinit { free(values) }

    /// False for rows that do not belong here.
    func add(_ chunk: TensorChunk) -> Bool {
        let first = Int(chunk.firstRow)
        let count = Int(chunk.tensor.rows)
        guard Int(chunk.tensor.columns) == columns, first == filledRows, first + count <= rows,
            chunk.tensor.values.count == count * columns
        else { return false }
        chunk.tensor.values.withUnsafeBufferPointer { source in
            if let start = source.baseAddress { (values + first * columns).update(from: start, count: source.count) }
        }
        filledRows += count
        return true
    }

    /// Valid while the buffer lives.
    var matrix: RunResult.Matrix {
        RunResult.Matrix(values: values, rows: Int32(clamping: filledRows), columns: Int32(clamping: columns))
    }
}
