// A graph that looks at pictures: pixels of one size in, float32 values per picture out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "memory.hpp"
#include "realm/realm.hpp"
#include "session.hpp"

namespace realm {

// Features of texts, one row per picture; null: the picture has none.
using TextRows = std::vector<const std::vector<float>*>;

// Looks at pictures through one graph. Safe from several threads at once.
class Looker {
public:
    // `matrix_rank`: of the resize matrices that the graph takes. `text_width`: of the rows that it takes as
    // `text_features`; 0 where it takes none. `thin`: it holds few numbers for a pixel, where a tower holds many.
    Looker(ViewSpec view, std::shared_ptr<const Session> session, std::size_t matrix_rank, std::size_t text_width,
           const MemoryLimit& memory, std::size_t batch, bool bounded, bool thin = false)
        : view_(std::move(view)),
          session_(std::move(session)),
          matrix_rank_(matrix_rank),
          text_width_(text_width),
          memory_(memory),
          batch_(batch),
          bounded_(bounded),
          thin_(thin) {}

    // Outputs of the graph for pictures of one size, in calls that fit the memory; each output's rows in one piece. The
    // shapes of an output go without their first size, that of the batch.
    std::vector<std::vector<float>> look(const std::vector<ImageView>& images, const TextRows& texts,
                                         const std::vector<Wanted>& outputs) const;
    // Pictures of one call, of such a size. Throws UsageError where the memory does not suffice.
    std::size_t per_call(int height, int width) const;

private:
    std::vector<std::vector<float>> run(const std::vector<ImageView>& images, const TextRows& texts,
                                        std::vector<Wanted> outputs) const;

    ViewSpec view_;
    std::shared_ptr<const Session> session_;
    std::size_t matrix_rank_;
    std::size_t text_width_;
    MemoryLimit memory_;
    std::size_t batch_;
    bool bounded_, thin_;
};

}  // namespace realm
