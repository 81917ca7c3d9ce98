import CKernels

/// Keys and values of one layer for one sequence: a row for each position.
public struct AttentionCache: Sendable {
    /// Positions × (key-value heads · head dimension).
    public let keys: FloatRows
    public let values: FloatRows
    public let headDimension: Int

    public init(keys: FloatRows, values: FloatRows, headDimension: Int) {
        precondition(keys.rows == values.rows && keys.columns == values.columns, "keys and values differ in shape")
        precondition(headDimension > 0 && keys.columns % headDimension == 0, "heads of \(headDimension)")
        self.keys = keys
        self.values = values
        self.headDimension = headDimension
    }

    public func store(position: Int, keys newKeys: FloatRows, values newValues: FloatRows, row: Int) {
        precondition(newKeys.columns == keys.columns && newValues.columns == keys.columns, "stores another shape")
        keys.pointer(position).update(from: newKeys.pointer(row), count: keys.columns)
        values.pointer(position).update(from: newValues.pointer(row), count: values.columns)
    }

    /// Attention of the query heads that share key-value head `group`, over `positions`.
    ///
    /// A row of `queries` and `output` holds all query heads; heads `group` · n ..< (`group` + 1) · n belong together.
    public func attend(
        queries: FloatRows, row: Int, group: Int, positions: Range<Int>, scale: Float, output: FloatRows
    ) {
        let groups = keys.columns / headDimension
        let headsPerGroup = queries.columns / headDimension / groups
        precondition(queries.columns == groups * headsPerGroup * headDimension, "queries are not whole groups")
        precondition(output.columns == queries.columns && group >= 0 && group < groups, "group \(group) of \(groups)")
        precondition(
            !positions.isEmpty && positions.lowerBound >= 0 && positions.upperBound <= keys.rows, "\(positions)")
        let keyBase = keys.base + group * headDimension
        let valueBase = values.base + group * headDimension
        for head in group * headsPerGroup..<(group + 1) * headsPerGroup {
            apus_attend(
                queries.pointer(row) + head * headDimension, keyBase, valueBase, keys.columns, headDimension,
                positions.lowerBound, positions.upperBound, scale, output.pointer(row) + head * headDimension)
        }
    }
}
