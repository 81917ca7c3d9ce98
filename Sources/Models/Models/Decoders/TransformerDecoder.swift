import ModelFiles
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
    private let embedding: WeightMatrix
    private let layers: [DecoderLayer]
    private let outputNorm: FloatVector
    private let output: WeightMatrix

    init(_ file: GGUFFile, architecture: any DecoderArchitecture.Type) throws(ModelLoadError) {
        let parameters = HyperParameters(metadata: file.metadata, prefix: architecture.name)
        try architecture.check(parameters)
        var tensors = TensorTable(file)
        let width = try parameters.requiredInteger("embedding_length", in: ModelLimits.width)
        let vocabularySize = try Self.vocabularySize(file, parameters)
        embedding = try tensors.matrix("token_embd.weight", rows: vocabularySize, columns: width)
        let tied = !tensors.has("output.weight")
        output = tied ? embedding : try tensors.matrix("output.weight", rows: vocabularySize, columns: width)
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

    // MARK: one step

    func forward(
        _ step: ForwardStep, cache: KeyValueCache, workspace: ForwardWorkspace, pool: ComputePool
    ) throws(ForwardError) {
        try StepCheck(configuration).check(step, cache: cache, workspace: workspace)
        workspace.begin(step)
        embed(workspace)
        for (index, layer) in layers.enumerated() {
            if let isCancelled = step.isCancelled { workspace.dropCancelled(isCancelled) }
            if workspace.active.isEmpty { return }
            attention(layer, index: index, cache: cache, workspace: workspace, pool: pool)
            feedForward(layer, workspace: workspace, pool: pool)
        }
        for row in workspace.active { cache.setLength(row.position + 1, slot: row.sequence) }
        let count = workspace.selectLogitRows(norm: outputNorm, epsilon: configuration.normEpsilon)
        output.multiply(workspace.normalized.prefix(count), into: workspace.logitRows, pool: pool)
    }

    private func embed(_ workspace: ForwardWorkspace) {
        for (place, row) in workspace.active.enumerated() {
            embedding.unpack(row: row.token, into: workspace.hidden, row: place)
            configuration.rotary.fill(
                row: place, position: row.position, cosines: workspace.cosines, sines: workspace.sines)
        }
    }

    private func attention(
        _ layer: DecoderLayer, index: Int, cache: KeyValueCache, workspace: ForwardWorkspace, pool: ComputePool
    ) {
        let rows = workspace.active
        let normalized = workspace.normalized.prefix(rows.count)
        let (hidden, queries, attended) = (workspace.hidden, workspace.queries, workspace.attended)
        for row in rows.indices {
            hidden.normalize(
                row: row, weight: layer.attentionNorm, epsilon: configuration.normEpsilon, into: normalized, row: row)
        }
        layer.queries(normalized, into: queries, pool: pool)
        layer.keys(normalized, into: workspace.keys, pool: pool)
        layer.values(normalized, into: workspace.values, pool: pool)
        for (place, row) in rows.enumerated() {
            prepareHeads(layer, place: place, workspace: workspace)
            cache.layer(index, slot: row.sequence).store(
                position: row.position, keys: workspace.keys, values: workspace.values, row: place)
        }

        let groups = configuration.keyValueHeadCount
        let scale = 1 / Float(configuration.headDimension).squareRoot()
        pool.run(parts: rows.count * groups) { [configuration] part in
            let (place, group) = (part / groups, part % groups)
            let row = rows[place]
            cache.layer(index, slot: row.sequence).attend(
                queries: queries, row: place, group: group,
                positions: configuration.visiblePositions(at: row.position), scale: scale, output: attended)
        }
        layer.output(attended.prefix(rows.count), into: workspace.projected, pool: pool)
        for row in rows.indices { hidden.add(row: row, workspace.projected, row: row) }
    }

    /// Norms, if the architecture has them, and rotation of the heads of one row.
    private func prepareHeads(_ layer: DecoderLayer, place: Int, workspace: ForwardWorkspace) {
        for (rows, norm) in [(workspace.queries, layer.queryNorm), (workspace.keys, layer.keyNorm)] {
            if let norm { rows.normalizeHeads(row: place, weight: norm, epsilon: configuration.normEpsilon) }
            rows.rotateHeads(
                row: place, headDimension: configuration.headDimension, cosines: workspace.cosines,
                sines: workspace.sines, split: configuration.rotary.pairing == .halves)
        }
    }

    private func feedForward(_ layer: DecoderLayer, workspace: ForwardWorkspace, pool: ComputePool) {
        let rows = workspace.active.indices
        let normalized = workspace.normalized.prefix(rows.count)
        let hidden = workspace.hidden
        for row in rows {
            hidden.normalize(
                row: row, weight: layer.feedForwardNorm, epsilon: configuration.normEpsilon, into: normalized, row: row)
        }
        layer.feedForward(normalized, into: workspace.projected, workspace: workspace, pool: pool)
        for row in rows { hidden.add(row: row, workspace.projected, row: row) }
    }
}
