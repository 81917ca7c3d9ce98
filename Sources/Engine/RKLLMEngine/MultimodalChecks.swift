import EngineProtocol

extension RKLLMEngine {
    /// What stands around an image has to be there when the model is loaded, in families before 1.3.
    static func tags(of input: MultimodalInput) -> ImageTags {
        let image = input.media.first { $0.kind == .image }
        return ImageTags(
            start: image?.startTag ?? "", end: image?.endTag ?? "", content: image?.contentTag ?? "")
    }

    /// The runtime believes every number here, and reads on where rows are missing.
    func check(_ input: MultimodalInput, field: String) throws(EngineError) {
        try check(input.prompt, field: field)
        try check(!input.media.isEmpty, field, "\(field) has neither images nor videos")
        for (kind, name) in [(MultimodalInput.Media.Kind.image, "image"), (.video, "video")] {
            let media = input.media.filter { $0.kind == kind }
            try check(media.count <= 1, field, "\(field) has two sets of \(name)s")
            let wanted = media.reduce(0) { $0 + Int($1.count) }
            let places = Self.occurrences(of: "<\(name)>", in: input.prompt)
            try check(
                places == wanted, field, "\(field) has \(wanted) \(name)s, but <\(name)> is \(places) times in its text"
            )
            for media in media { try check(media, name: name) }
        }
    }

    private func check(_ media: MultimodalInput.Media, name: String) throws(EngineError) {
        if media.kind == .video { try family.require(\.hasVideos, "videos") }
        if media.count > 1 { try family.require(\.countsImages, "several images in one prompt") }
        let field = "\(name)_embed"
        try check(media.kind == .video || media.framesPerItem == 1, field, "an image has one frame")
        let frames = UInt64(media.count).multipliedReportingOverflow(by: UInt64(media.framesPerItem))
        let rows = frames.partialValue.multipliedReportingOverflow(by: UInt64(media.tokensPerFrame))
        let tensor = media.embeddings
        try check(
            !frames.overflow && !rows.overflow && rows.partialValue >= 1 && rows.partialValue == UInt64(tensor.rows),
            field,
            "\(media.count) \(name)s of \(media.framesPerItem) frames with \(media.tokensPerFrame) tokens each need as many "
                + "rows, and there are \(tensor.rows)")
        try check(
            tensor.columns >= 1 && tensor.values.count == Int(tensor.rows) * Int(tensor.columns), field,
            "\(field) has \(tensor.values.count) numbers in \(tensor.rows) rows of \(tensor.columns)")
        try check(tensor.values.allSatisfy(\.isFinite), field, "\(field) has a number that is not finite")
        // An encoder with several outputs has them side by side.
        if let width = knownWidth {
            try check(
                tensor.columns.isMultiple(of: width), field,
                "\(field) has rows of \(tensor.columns) numbers, which is no multiple of the model's \(width)")
        }
        let tags = [media.startTag, media.endTag, media.contentTag]
        try check(tags.allSatisfy { !$0.utf8.contains(0) }, field, "a tag of the \(name)s has a zero byte")
    }

    private static func occurrences(of word: String, in text: String) -> Int {
        let word = Array(word.utf8), text = Array(text.utf8)
        guard text.count >= word.count else { return 0 }
        return (0...text.count - word.count).count { text[$0..<$0 + word.count].elementsEqual(word) }
    }
}
