extension ExpertConfiguration {
    /// Reads and checks the hyper-parameters of a mixture, and refuses what would choose or weigh experts otherwise.
    init(_ parameters: HyperParameters) throws(ModelLoadError) {
        count = try parameters.requiredInteger("expert_count", in: ModelLimits.experts)
        used = try parameters.requiredInteger("expert_used_count", in: 1...count)
        if let shared = try parameters.integer("expert_shared_count", in: 0...Int(UInt32.max)), shared > 0 {
            throw .unsupported(feature: "\(shared) shared expert(s)")
        }
        if let groups = try parameters.integer("expert_group_count", in: 0...Int(UInt32.max)), groups > 1 {
            throw .unsupported(feature: "experts in \(groups) groups")
        }
        // 1 is the softmax; 0 in files whose writer left it to the architecture.
        if let gate = try parameters.integer("expert_gating_func", in: 0...Int(UInt32.max)), gate > 1 {
            throw .unsupported(feature: "the gating function \(gate) of experts")
        }
        if let scale = try parameters.positive("expert_weights_scale", allowsZero: true), scale != 0, scale != 1 {
            throw .unsupported(feature: "weights of experts scaled by \(scale)")
        }
        if try parameters.bool("expert_weights_norm") == false {
            throw .unsupported(feature: "weights of experts that do not add up to one")
        }
    }
}
