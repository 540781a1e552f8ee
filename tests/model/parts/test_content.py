import pytest
import torch

from model.parts.content import scale

FEATURE = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("norm", "lengths"),
    [("none", [5, 0, 1]), ("unit_mean", [5 / 3, 0, 1 / 3]), ("unit_rows", [1, 0, 1])],
)
def test_rows_get_these_lengths_and_keep_their_directions(norm, lengths):
    scaled = scale(FEATURE, norm)

    torch.testing.assert_close(scaled.norm(dim=1), torch.tensor(lengths, dtype=torch.float))
    torch.testing.assert_close(
        scaled * FEATURE.norm(dim=1)[:, None], FEATURE * scaled.norm(dim=1)[:, None]
    )


@pytest.mark.parametrize(
    "norm", ["none", "unit_mean", "unit_rows", "whitened", "half_whitened"]
)
def test_a_modality_that_no_item_has_stays_zero(norm):
    assert scale(torch.zeros(4, 3), norm).tolist() == [[0.0] * 3] * 4


def test_a_changed_row_leaves_the_scale_of_the_others_where_it_was():
    changed = FEATURE * torch.tensor([[9.0], [1.0], [1.0]])

    scaled = scale(changed, "unit_mean", like=FEATURE)

    assert torch.equal(scaled[1:], scale(FEATURE, "unit_mean")[1:])
    torch.testing.assert_close(scaled[0], 9 * scale(FEATURE, "unit_mean")[0])


def correlated(n=200, seed=0):
    """Rows with strongly correlated columns of very different variance, every tenth absent."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.tensor([[9.0, 5.0, 0.1], [0.0, 0.3, 0.2], [0.0, 0.0, 0.05]])
    rows = torch.randn(n, 3, generator=generator) @ mixing + 4
    rows[::10] = 0
    return rows


def test_whitened_features_have_a_spherical_covariance_and_absent_rows_stay_zero():
    scaled = scale(correlated(), "whitened")

    there = scaled[scaled.norm(dim=1) > 0]
    assert len(there) == 180
    assert there.norm(dim=1).mean().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(there.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    covariance = there.T @ there / len(there)
    torch.testing.assert_close(
        covariance, covariance[0, 0] * torch.eye(3), atol=1e-4, rtol=1e-4
    )


def test_directions_without_variance_are_dropped():
    feature = torch.cat([correlated(), correlated()[:, :1]], dim=1)  # the last one repeats

    scaled = scale(feature, "whitened")

    assert scaled.isfinite().all()
    assert (scaled.abs().amax(0) > 1e-3).sum() == 3


def test_whitening_of_changed_rows_is_that_of_the_originals():
    feature = correlated()
    changed = feature.clone()
    changed[1] += 1

    scaled = scale(changed, "whitened", like=feature)

    torch.testing.assert_close(scaled[2:], scale(feature, "whitened")[2:])
    assert not torch.allclose(scaled[1], scale(feature, "whitened")[1])


def test_half_whitening_takes_the_root_of_each_directions_spread():
    feature = correlated()
    there = feature[feature.norm(dim=1) > 0]
    spread = torch.linalg.svdvals(there - there.mean(0))

    found = torch.linalg.svdvals(scale(feature, "half_whitened"))

    torch.testing.assert_close(found / found[0], (spread / spread[0]).sqrt(), atol=1e-4, rtol=0)
