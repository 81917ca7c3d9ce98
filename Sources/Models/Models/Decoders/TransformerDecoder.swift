import ModelFiles
import Synchronization
import Tensors

/// The decoder that all supported architectures share.
///
///     tokens → embedding → layers × (norm → attention → + → norm → feed-forward → +) → norm → output → logits
///
/// The residual stream of row i is row i of `workspace.hidden`.
final class TransformerDecoder: DecoderModel {
    let configuration: DecoderConfiguration
    let parameterCount: UInt64
    let weightBytes: UInt64
    private let embedding: Embedding
    private let layers: [DecoderLayer]
    private let outputNorm: FloatVector
    private let output: MatrixGroup
    private let matrices: [PackedMatrix]
    private let isPacked = Mutex(false)

    private enum Embedding {
        /// Rows are read where they lie in the file.
        case file(WeightMatrix)
        /// The output matrix is the embedding too.
        case tied(PackedMatrix)
    }

    init(_ file: GGUFFile, architecture: any DecoderArchitecture.Type) throws(ModelLoadError) {
        let parameters = HyperParameters(metadata: file.metadata, prefix: architecture.name)
        try architecture.check(parameters)
        var tensors = TensorTable(file)
        let width = try parameters.requiredInteger("embedding_length", in: ModelLimits.width)
        let vocabularySize = try Self.vocabularySize(file, parameters)
        let (name, tied) = ("token_embd.weight", !tensors.has("output.weight"))
        let matrix: PackedMatrix
        if tied {
            matrix = try tensors.matrix(name, rows: vocabularySize, columns: width)
            embedding = .tied(matrix)
        } else {
            embedding = .file(try tensors.rowsInFile(name, rows: vocabularySize, columns: width))
            matrix = try tensors.matrix("output.weight", rows: vocabularySize, columns: width)
        }
        output = MatrixGroup([.init(matrix)])
        outputNorm = try tensors.vector("output_norm.weight", count: width)
        let configuration = try DecoderConfiguration(
            parameters, architecture: architecture, tensors: &tensors, vocabularySize: vocabularySize,
            tiedEmbeddings: tied)
        var layers: [DecoderLayer] = []
        for index in 0..<configuration.layerCount {
            layers.append(
                try DecoderLayer(
                    index: index, configuration, normalizesHeads: architecture.normalizesHeads, tensors: &tensors))
        }
        try tensors.checkAllUsed(architecture: architecture.name)
        self.layers = layers
        matrices = tensors.packed
        self.configuration = configuration
        parameterCount = file.tensors.reduce(0) { $0 + UInt64($1.elementCount) }
        weightBytes = file.tensors.reduce(0) { $0 + UInt64($1.byteCount) }
    }

    /// The rows of the embedding; the metadata must not contradict them.
    private static func vocabularySize(
        _ file: GGUFFile, _ parameters: HyperParameters
    ) throws(ModelLoadError) -> Int {
        guard let tensor = file.tensor(named: "token_embd.weight") else {
            throw .missingTensor(name: "token_embd.weight")
        }
        guard tensor.dimensions.count >= 2, ModelLimits.vocabularySize.contains(tensor.dimensions[1]) else {
            throw .invalidTensor(name: tensor.name, reason: "its shape \(tensor.dimensions) is no embedding")
        }
        let size = tensor.dimensions[1]
        if let declared = try parameters.integer("vocab_size", in: ModelLimits.vocabularySize), declared != size {
            throw .invalidParameter(
                key: parameters.key("vocab_size"), reason: "\(declared), but the embedding has \(size) rows")
        }
        if let tokens = file.metadata.array("tokenizer.ggml.tokens"), tokens.count > size {
            throw .invalidParameter(
                key: "tokenizer.ggml.tokens", reason: "\(tokens.count) tokens, but the embedding has \(size) rows")
        }
        return size
    }

    var packedBytes: UInt64 { matrices.reduce(0) { $0 + UInt64($1.byteCount) } }

    var operationsPerToken: UInt64 {
        let multiplications = matrices.reduce(0.0) { $0 + Double($1.rows * $1.columns) * share(of: $1) }
        return UInt64(2 * (multiplications - Double(configuration.vocabularySize * configuration.width)))
    }

    var bytesPerStep: UInt64 { UInt64(matrices.reduce(0.0) { $0 + Double($1.byteCount) * share(of: $1) }) }

    /// How much of a matrix a row is multiplied with, on average: few experts compute a row.
    private func share(of matrix: PackedMatrix) -> Double {
        guard let experts = configuration.experts, matrix.name.contains("_exps") else { return 1 }
        return Double(experts.used) / Double(experts.count)
    }

    func pack(pool: ComputePool) throws(ModelLoadError) {
        try isPacked.withLock { isPacked throws(ModelLoadError) in
            guard !isPacked else { return }
            do throws(PackingFailure) {
                try PackedMatrix.pack(matrices, pool: pool)
            } catch {
                throw ModelLoadError(error)
            }
            isPacked = true
        }
    }

    // MARK: one step

    func forward(
        _ step: ForwardStep, cache: KeyValueCache, workspace: ForwardWorkspace, pool: ComputePool
    ) throws(ForwardError) {
        try StepCheck(configuration).check(step, cache: cache, workspace: workspace)
        workspace.begin(step)
        embed(step.embeddings, workspace, pool: pool)
        for (index, layer) in layers.enumerated() {
            if let layered = step.layered {
                if index == layered.layers.upperBound { workspace.leave(layered, of: step) }
                if index == layered.layers.lowerBound, index > 0 { join(layered, of: step, workspace, pool: pool) }
            }
            if let isCancelled = step.isCancelled { workspace.dropCancelled(isCancelled) }
            // Layered rows may be still to come.
            if workspace.active.isEmpty { continue }
            step.onLayer?(index + 1)
            let blocks = cache.layer(index, instructionSet: pool.instructionSet)
            attention(layer, blocks: blocks, tables: step.blockTables, workspace: workspace, pool: pool)
            feedForward(layer, workspace: workspace, pool: pool)
        }
        if workspace.active.isEmpty { return }
        step.onLayer?(layers.count + 1)
        let count = workspace.selectOutputRows(norm: outputNorm, epsilon: configuration.normEpsilon)
        output.multiply(
            workspace.normalized.prefix(count), into: workspace.logitOutputs, tiles: workspace.tiles, pool: pool)
    }

    /// - Parameter given: rows in the place of tokens.
    private func embed(_ given: [Float], _ workspace: ForwardWorkspace, pool: ComputePool) {
        let active = workspace.active
        pool.run(rows: active.count) { [embedding, configuration] rows in
            for row in rows {
                switch (active[row].embedding, embedding) {
                case (let index?, _):
                    let values = given[index * configuration.width..<(index + 1) * configuration.width]
                    _ = workspace.hidden[row].update(fromContentsOf: values)
                case (nil, .file(let matrix)):
                    matrix.unpack(row: active[row].token, into: workspace.hidden, row: row)
                case (nil, .tied(let matrix)):
                    matrix.unpack(row: active[row].token, into: workspace.hidden, row: row)
                }
                fillRotation(row: row, workspace)
            }
        }
    }

    private func fillRotation(row: Int, _ workspace: ForwardWorkspace) {
        configuration.rotary.fill(
            row: row, position: workspace.active[row].position, cosines: workspace.cosines, sines: workspace.sines)
    }

    /// Takes layered rows in that were computed up to here.
    private func join(_ layered: LayeredRows, of step: ForwardStep, _ workspace: ForwardWorkspace, pool: ComputePool) {
        let joined = workspace.join(layered, of: step)
        pool.run(rows: joined.count) { rows in
            for row in rows { fillRotation(row: joined.lowerBound + row, workspace) }
        }
    }

    private func normalize(_ norm: FloatVector, _ workspace: ForwardWorkspace, pool: ComputePool) -> FloatRows {
        let (hidden, normalized) = (workspace.hidden, workspace.normalized.prefix(workspace.active.count))
        pool.run(rows: normalized.rows) { [epsilon = configuration.normEpsilon] rows in
            for row in rows { hidden.normalize(row: row, weight: norm, epsilon: epsilon, into: normalized, row: row) }
        }
        return normalized
    }

    private func attention(
        _ layer: DecoderLayer, blocks: KeyValueBlocks, tables: [[Int32]], workspace: ForwardWorkspace, pool: ComputePool
    ) {
        let active = workspace.active
        let normalized = normalize(layer.attentionNorm, workspace, pool: pool)
        layer.heads.multiply(normalized, into: workspace.headOutputs, tiles: workspace.tiles, pool: pool)
        pool.run(rows: active.count) { rows in
            for row in rows {
                prepareHeads(layer, row: row, workspace: workspace)
                blocks.store(
                    position: active[row].position, table: tables[active[row].sequence], keys: workspace.keys,
                    values: workspace.values, row: row)
            }
        }

        let (units, groups) = (workspace.attentionUnits, configuration.keyValueHeadCount)
        // What one thread reads lies together, as long as there are parts enough for all.
        let groupsPerPart = min(max(units.count * groups / (Self.attentionPartsPerThread * pool.threads), 1), groups)
        let partsPerUnit = (groups + groupsPerPart - 1) / groupsPerPart
        let scale = 1 / Float(configuration.headDimension).squareRoot()
        pool.run(parts: units.count * partsPerUnit) { [configuration] part in
            let unit = units[part / partsPerUnit]
            let first = part % partsPerUnit * groupsPerPart
            blocks.attend(
                rows: unit.rows, groups: first..<min(first + groupsPerPart, groups), table: tables[unit.sequence],
                queries: workspace.queries, output: workspace.attended, scale: scale
            ) { configuration.visiblePositions(at: active[$0].position) }
        }
        layer.output.multiply(
            workspace.attended.prefix(active.count), into: workspace.residual, adds: true, tiles: workspace.tiles,
            pool: pool)
    }

    private static let attentionPartsPerThread = 4

    /// Norms, if the architecture has them, and rotation of the heads of one row.
    private func prepareHeads(_ layer: DecoderLayer, row: Int, workspace: ForwardWorkspace) {
        for (rows, norm) in [(workspace.queries, layer.queryNorm), (workspace.keys, layer.keyNorm)] {
            if let norm { rows.normalizeHeads(row: row, weight: norm, epsilon: configuration.normEpsilon) }
            rows.rotateHeads(
                row: row, headDimension: configuration.headDimension, cosines: workspace.cosines,
                sines: workspace.sines, split: configuration.rotary.pairing == .halves)
        }
    }

    private func feedForward(_ layer: DecoderLayer, workspace: ForwardWorkspace, pool: ComputePool) {
        let normalized = normalize(layer.feedForwardNorm, workspace, pool: pool)
        layer.feedForward(normalized, addingTo: workspace.hidden, workspace: workspace, pool: pool)
    }
}
