/* How NiiVue's planes get their greys: from the voxels themselves, through the window, when a plane is drawn.

   NiiVue's own way is to make a coloured copy of the whole volume for each window, and gradients of it for a three-dimensional view.
   Without a graphics card that takes 7 processor seconds for each movement of the window in a CT of 512 × 512 × 300, and
   several times that for the gradients. Here the voxels are handed over once, and NiiVue's slice shader is replaced, for which it has a place. */

const UNIT = 15; // of the textures, the last that every WebGL 2 has; NiiVue uses the lower ones
const SHRUNK = [WebGL2RenderingContext.TEXTURE0, WebGL2RenderingContext.TEXTURE6, WebGL2RenderingContext.TEXTURE8];

const shader = (sampler) => `#version 300 es
precision highp int;
precision highp float;
uniform highp ${sampler} voxels;
uniform mat4 toVoxel; // from the place in NiiVue's space, 0 to 1, to voxels along the axes of the file
uniform vec2 shades; // the values shown black and white
uniform vec2 scale; // slope and intercept of what is stored
uniform bool smoothed;
in vec3 texPos;
out vec4 color;
float at(ivec3 voxel) {
  return float(texelFetch(voxels, clamp(voxel, ivec3(0), textureSize(voxels, 0) - 1), 0).r);
}
float between(vec3 place) {
  ivec3 low = ivec3(floor(place));
  vec3 part = fract(place);
  ivec2 step = ivec2(0, 1);
  vec4 near = vec4(at(low), at(low + step.xyx), at(low + step.xxy), at(low + step.xyy));
  vec4 far = vec4(at(low + step.yxx), at(low + step.yyx), at(low + step.yxy), at(low + step.yyy));
  vec4 along = mix(near, far, part.x);
  vec2 across = mix(along.xz, along.yw, part.y);
  return mix(across.x, across.y, part.z);
}
void main() {
  vec3 place = (toVoxel * vec4(texPos, 1.0)).xyz;
  float value = scale.x * (smoothed ? between(place) : at(ivec3(floor(place + 0.5)))) + scale.y;
  float grey = (value - shades.x) / (shades.y - shades.x);
  color = vec4(vec3(grey > 0.0 ? min(grey, 1.0) : 0.0), 1.0); // what is no number is black
}`;

/** The greys of one volume at a time. */
export class Greys {
  /** @param {Niivue} nv Ready to draw. */
  constructor(nv) {
    this.nv = nv;
    this.smoothed = false;
    const make = nv.rgbaTex.bind(nv);
    // Textures of one voxel a slice: NiiVue fills them at no cost, and nothing looks at them.
    nv.rgbaTex = (texture, unit, dims, ...rest) =>
      make(texture, unit, SHRUNK.includes(unit) ? [dims[0], 1, 1, dims[3]] : dims, ...rest);
    this.refresh = nv.refreshLayers.bind(nv);
  }

  /**
   * Hand a volume over.
   * @param {NVImage} image int16 or float32.
   * @param {{along: number[], origin: number[], step: number[]}} lattice How it lies in NiiVue's space.
   */
  show(image, { along, origin, step }) {
    const { nv } = this;
    const { gl } = nv;
    const whole = image.img instanceof Int16Array;
    const size = image.hdr.dims.slice(1, 4);
    const most = gl.getParameter(gl.MAX_3D_TEXTURE_SIZE);
    if (Math.max(...size) > most)
      throw new Error(`This browser's graphics take at most ${most} voxels along an axis; this image has ${size.join(" × ")}.`);
    this.image = image;
    this.toVoxel = new Float32Array(16); // by columns
    along.forEach((axis, k) => {
      this.toVoxel[4 * axis + k] = 1 / step[k];
      this.toVoxel[12 + k] = -origin[axis] / step[k];
    });
    this.toVoxel[15] = 1;
    nv.refreshLayers = this.refresh;
    nv.setCustomSliceShader(shader(whole ? "isampler3D" : "sampler3D"));
    gl.activeTexture(gl.TEXTURE0 + UNIT);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_3D, this.texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, name, gl.NEAREST);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texStorage3D(gl.TEXTURE_3D, 1, whole ? gl.R16I : gl.R32F, ...size);
    const [format, type] = whole ? [gl.RED_INTEGER, gl.SHORT] : [gl.RED, gl.FLOAT];
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, ...size, format, type, image.img);
    if (gl.getError() === gl.OUT_OF_MEMORY) throw new Error("This browser's graphics have no room for an image of this size.");
    nv.addVolume(image);
    // From here on a movement of the window only means another picture.
    nv.refreshLayers = () => {};
  }

  /** Give the volume back. */
  clear() {
    this.nv.gl.deleteTexture(this.texture ?? null);
    this.texture = undefined;
    this.nv.refreshLayers = this.refresh;
    for (const volume of [...this.nv.volumes]) this.nv.removeVolume(volume);
  }

  /** Say how to draw, before NiiVue does. */
  prepare() {
    const { gl, customSliceShader: program } = this.nv;
    if (!this.texture) return;
    gl.activeTexture(gl.TEXTURE0 + UNIT);
    gl.bindTexture(gl.TEXTURE_3D, this.texture);
    program.use(gl);
    const { cal_min: low, cal_max: high, hdr } = this.image;
    gl.uniform1i(program.uniforms.voxels, UNIT);
    gl.uniformMatrix4fv(program.uniforms.toVoxel, false, this.toVoxel);
    gl.uniform2f(program.uniforms.shades, low, high);
    gl.uniform2f(program.uniforms.scale, hdr.scl_slope || 1, hdr.scl_inter);
    gl.uniform1i(program.uniforms.smoothed, Number(this.smoothed));
  }
}
