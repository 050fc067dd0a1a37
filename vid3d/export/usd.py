"""USD: everybody as an animated UsdSkel figure, and the camera, in one stage; needs usd-core."""

from pathlib import Path
from typing import Any

import numpy as np

from vid3d.export.figure import SIDES, Figure, figure, side_colors
from vid3d.export.rig import JOINTS, NAMES, PARENTS
from vid3d.export.rotations import quaternions
from vid3d.export.space import CAMERA_TO_Y_UP, FROM_Y_UP
from vid3d.export.take import Animation, Take
from vid3d.files import atomic_path
from vid3d.motion_schema import largest_zoom, moved


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.usdc: metres, `take.space.up` up, one time code a frame of the constant rate.

    Who is absent is invisible.
    """
    from pxr import Usd, UsdGeom

    path = folder / f"{stem}.usdc"
    with atomic_path(path) as temporary:
        stage = Usd.Stage.CreateInMemory()
        root = UsdGeom.Xform.Define(stage, "/vid3d")
        stage.SetDefaultPrim(root.GetPrim())
        UsdGeom.SetStageUpAxis(stage, take.space.up.upper())
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(take.steady.fps)
        stage.SetFramesPerSecond(take.steady.fps)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(max(take.steady.frames - 1, 0))
        stage.SetMetadata("comment", f"{take.about()['generator']}; {take.space.axes}; metres")
        _camera(stage, take)
        for number, animation in enumerate(take.animations):
            _person(stage, take, animation, number)
        stage.GetRootLayer().Export(str(temporary))
    return [path]


def _camera(stage: Any, take: Take) -> None:
    """The camera that filmed the clip, as a lens on a film 36 mm wide."""
    from pxr import Gf, UsdGeom

    matrix, (width, height) = take.motion.intrinsics.astype(float), take.motion.frame_size
    camera = UsdGeom.Camera.Define(stage, "/vid3d/camera")
    tenths = 0.01  # millimetres in tenths of a stage unit, a metre, as apertures are
    film = 36.0
    camera.CreateHorizontalApertureAttr(film * tenths)
    camera.CreateVerticalApertureAttr(film * tenths * height / width * matrix[0, 0] / matrix[1, 1])
    focal = film * tenths * matrix[0, 0] / width
    length = camera.CreateFocalLengthAttr(focal)
    if largest_zoom(take.motion) != 1:
        for frame, zoom in enumerate(take.steady.camera_zoom.tolist()):
            length.Set(focal * zoom, frame)
    camera.CreateClippingRangeAttr(Gf.Vec2f(0.05, 1000.0))
    steady = take.steady
    places = np.tile(np.eye(4), (steady.frames, 1, 1))
    turns = take.space.orientations(steady.camera_rotation)
    places[:, :3, :3] = turns @ CAMERA_TO_Y_UP  # looks along -z, y up
    places[:, :3, 3] = take.space.place(steady.camera_position)
    transform = UsdGeom.Xformable(camera).AddTransformOp()
    transform.Set(Gf.Matrix4d(*places[0].T.ravel()))
    if moved(take.motion):
        for frame, place in enumerate(places):
            transform.Set(Gf.Matrix4d(*place.T.ravel()), frame)


def _person(stage: Any, take: Take, animation: Animation, number: int) -> None:
    """One person's skeleton, animation and mesh."""
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    path = f"/vid3d/person{animation.track_id}".replace("-", "minus")  # names in USD are words
    turned = animation.turned(take.space.up)
    person = UsdSkel.Root.Define(stage, path)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{path}/skeleton")
    names = Vt.TokenArray([_path(joint) for joint in range(len(JOINTS))])
    rest = turned.rig.rest()

    def places(points: np.ndarray) -> Any:
        matrices = [Gf.Matrix4d(1).SetTranslate(Gf.Vec3d(*point)) for point in points]
        return Vt.Matrix4dArray(matrices)

    skeleton.CreateJointsAttr(names)
    skeleton.CreateBindTransformsAttr(places(rest))
    skeleton.CreateRestTransformsAttr(places(turned.rig.offsets))
    shape = figure(animation.rig)
    mesh = _mesh(stage, f"{path}/body", shape, number, skeleton, take.space.up)
    _looks(stage, path, mesh, shape, number)
    moves = UsdSkel.Animation.Define(stage, f"{path}/animation")
    moves.CreateJointsAttr(names)
    moves.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * len(JOINTS)))
    turns = np.stack([quaternions(turned.rotations[:, j]) for j in range(len(JOINTS))], 1)
    rotations, translations = moves.CreateRotationsAttr(), moves.CreateTranslationsAttr()
    for frame, (quats, root) in enumerate(zip(turns, turned.root, strict=True), animation.first):
        rotations.Set(Vt.QuatfArray([Gf.Quatf(w, x, y, z) for x, y, z, w in quats.tolist()]), frame)
        offsets = np.concatenate([root[None], turned.rig.offsets[1:]]).astype(np.float32)
        translations.Set(Vt.Vec3fArray.FromNumpy(offsets), frame)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets(
        [moves.GetPath()]
    )
    shown = np.zeros(take.steady.frames, bool)
    shown[animation.first : animation.first + len(animation.present)] = animation.present
    if not shown.all():
        visibility = person.CreateVisibilityAttr()
        for key in np.flatnonzero(np.diff(shown, prepend=not shown[0])).tolist():
            visible = UsdGeom.Tokens.inherited if shown[key] else UsdGeom.Tokens.invisible
            visibility.Set(visible, key)


def _looks(stage: Any, path: str, mesh: Any, shape: Figure, number: int) -> None:
    """A material for each side of a figure: what programs show that pass over `displayColor`."""
    from pxr import Sdf, UsdShade, Vt

    first, name = 0, path.rpartition("/")[2]
    for side in SIDES:
        material = UsdShade.Material.Define(stage, f"{path}/looks/{name}_{side}")
        shader = UsdShade.Shader.Define(stage, material.GetPath().AppendChild("surface"))
        shader.CreateIdAttr("UsdPreviewSurface")
        color = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
        color.Set(tuple(side_colors(number)[side]))
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.7)
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        faces = Vt.IntArray(range(first, first + len(shape.faces[side])))
        subset = UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).CreateMaterialBindSubset(
            side, faces
        )
        UsdShade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(material)
        first += len(faces)


def _mesh(stage: Any, path: str, shape: Figure, number: int, skeleton: Any, up: str) -> Any:
    """The figure of the number-th person, skinned to the skeleton."""
    from pxr import UsdGeom, UsdSkel, Vt

    turn = FROM_Y_UP[up]
    faces = np.concatenate([shape.faces[side] for side in SIDES])
    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy((shape.points @ turn.T).astype(np.float32)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy((shape.normals @ turn.T).astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(faces)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray(faces.ravel().tolist()))
    colors = [side_colors(number)[side] for side in SIDES]
    counts = [len(shape.faces[side]) for side in SIDES]
    shades = np.repeat(colors, counts, axis=0).astype(np.float32)
    mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.uniform).Set(Vt.Vec3fArray.FromNumpy(shades))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateJointIndicesPrimvar(False, 1).Set(Vt.IntArray(shape.joints.tolist()))
    binding.CreateJointWeightsPrimvar(False, 1).Set(Vt.FloatArray([1.0] * len(shape.joints)))
    return mesh


def _path(joint: int) -> str:
    """A joint's name with those of all above it."""
    parent = PARENTS[joint]
    return NAMES[joint] if parent < 0 else f"{_path(parent)}/{NAMES[joint]}"
