import Foundation
import JSON

/// How fast one kernel did one shape, beside what the machine can do.
struct KernelFigure {
    let kernel: String
    let shape: String
    let rows: Int
    let instructionSet: String
    let threads: Int
    let operationsPerSecond: Double
    /// Weights, or keys and values; not what is written.
    let bytesPerSecond: Double
    /// Of bytes for quantised weights, of floats for float weights and attention.
    let peakOperationsPerSecond: Double
    let peakBytesPerSecond: Double

    var text: String {
        let words = [(kernel, 15), (shape, 12), ("\(rows) rows", 8), ("\(instructionSet) × \(threads)", 11)]
        let names = words.map { $0.0.padding(toLength: $0.1, withPad: " ", startingAt: 0) }.joined(separator: " ")
        return names
            + String(
                format: "%8.1f GOP/s %4.0f %%   %6.2f GB/s %4.0f %%", operationsPerSecond / 1e9,
                100 * operationsPerSecond / peakOperationsPerSecond, bytesPerSecond / 1e9,
                100 * bytesPerSecond / peakBytesPerSecond)
    }

    var json: String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kernel")
        writer.string(kernel)
        writer.key("shape")
        writer.string(shape)
        writer.key("rows")
        writer.integer(rows)
        writer.key("instruction_set")
        writer.string(instructionSet)
        writer.key("threads")
        writer.integer(threads)
        writer.key("operations_per_second")
        writer.double(operationsPerSecond.rounded())
        writer.key("share_of_peak")
        writer.double(operationsPerSecond / peakOperationsPerSecond)
        writer.key("bytes_per_second")
        writer.double(bytesPerSecond.rounded())
        writer.key("share_of_bandwidth")
        writer.double(bytesPerSecond / peakBytesPerSecond)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
