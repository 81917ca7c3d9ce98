import EngineProtocol

/// Rows that stand in the place of tokens, at some positions of a sequence.
struct EmbeddedRows: Sendable, Equatable {
    /// Neighbouring rows.
    private struct Run: Sendable, Equatable {
        var first: Int
        let columns: Int
        var values: ArraySlice<Float>

        var count: Int { values.count / columns }
        var end: Int { first + count }

        /// The part of it in a range of positions.
        func part(_ range: Range<Int>) -> Run? {
            let part = range.clamped(to: first..<end)
            guard !part.isEmpty else { return nil }
            let start = values.startIndex + (part.lowerBound - first) * columns
            return Run(first: part.lowerBound, columns: columns, values: values[start..<start + part.count * columns])
        }
    }

    /// In the order of their positions.
    private var runs: [Run] = []

    var isEmpty: Bool { runs.isEmpty }
    var byteCount: Int { runs.reduce(0) { $0 + $1.values.count * MemoryLayout<Float>.size } }

    /// Nil for a position that has a token.
    func row(at position: Int) -> ArraySlice<Float>? {
        // The first run that begins after the position.
        var (low, high) = (0, runs.count)
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].first > position { high = middle } else { low = middle + 1 }
        }
        return low > 0 ? runs[low - 1].part(position..<position + 1)?.values : nil
    }

    /// Adds rows after all that are there.
    mutating func append(_ rows: Tensor, at position: Int) {
        runs.append(Run(first: position, columns: max(1, Int(rows.columns)), values: rows.values[...]))
    }

    /// The same, of a sequence whose first position gets the number `position`.
    mutating func append(_ other: EmbeddedRows, at position: Int) {
        for var run in other.runs {
            run.first += position
            runs.append(run)
        }
    }

    /// Takes positions out; what follows them moves up.
    mutating func remove(_ range: Range<Int>) {
        runs = runs.flatMap { run in
            var rest = run.part(range.upperBound..<max(range.upperBound, run.end))
            rest?.first -= range.count
            return [run.part(min(run.first, range.lowerBound)..<range.lowerBound), rest].compactMap(\.self)
        }
    }
}
